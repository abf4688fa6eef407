"""Common compounds: names for formulas, from which periodictable computes molar masses and mass fractions."""

from __future__ import annotations

_TABLE = """
H2O water|CO2 carbon dioxide|CO carbon monoxide|NH3 ammonia|CH4 methane|C2H6 ethane|C3H8 propane|C4H10 butane
C8H18 octane|C2H4 ethylene|C2H2 acetylene|C6H6 benzene|C7H8 toluene|C8H10 xylene|C10H8 naphthalene|CH3OH methanol
C2H5OH ethanol|C3H8O3 glycerol|C2H6O2 ethylene glycol|CH2O formaldehyde|C3H6O acetone|HCOOH formic acid
CH3COOH acetic acid|C2H2O4 oxalic acid|C6H8O7 citric acid|C3H6O3 lactic acid|C4H6O6 tartaric acid
C6H8O6 ascorbic acid|C7H6O2 benzoic acid|C6H12O6 glucose|C12H22O11 sucrose|C5H10O5 ribose|CH4N2O urea
C8H10N4O2 caffeine|C9H8O4 aspirin|C8H9NO2 paracetamol|C13H18O2 ibuprofen|C10H14N2 nicotine|C27H46O cholesterol
C18H34O2 oleic acid|C16H32O2 palmitic acid|C10H16O camphor|HCl hydrogen chloride|HF hydrogen fluoride
HBr hydrogen bromide|HI hydrogen iodide|H2S hydrogen sulfide|HCN hydrogen cyanide|H2SO4 sulfuric acid
HNO3 nitric acid|H3PO4 phosphoric acid|H2CO3 carbonic acid|HClO4 perchloric acid|H3BO3 boric acid
H2O2 hydrogen peroxide|O3 ozone|N2O nitrous oxide|NO2 nitrogen dioxide|N2H4 hydrazine|SO2 sulfur dioxide
SO3 sulfur trioxide|SF6 sulfur hexafluoride|CCl4 carbon tetrachloride|CHCl3 chloroform|CH2Cl2 dichloromethane
CS2 carbon disulfide|PH3 phosphine|NaCl sodium chloride|KCl potassium chloride|NaOH sodium hydroxide
KOH potassium hydroxide|NaHCO3 sodium bicarbonate|Na2CO3 sodium carbonate|K2CO3 potassium carbonate
Na2SO4 sodium sulfate|NaNO3 sodium nitrate|KNO3 potassium nitrate|NaClO sodium hypochlorite
KClO3 potassium chlorate|KMnO4 potassium permanganate|K2Cr2O7 potassium dichromate|NaF sodium fluoride
KI potassium iodide|KBr potassium bromide|NH4Cl ammonium chloride|NH4NO3 ammonium nitrate|CaCO3 calcium carbonate
CaO calcium oxide|CaSO4 calcium sulfate|CaCl2 calcium chloride|CaF2 calcium fluoride|CaC2 calcium carbide
MgO magnesium oxide|MgSO4 magnesium sulfate|MgCl2 magnesium chloride|BaSO4 barium sulfate|SrTiO3 strontium titanate
BaTiO3 barium titanate|Al2O3 aluminium oxide|AlCl3 aluminium chloride|SiO2 silicon dioxide|SiC silicon carbide
Si3N4 silicon nitride|GaAs gallium arsenide|GaN gallium nitride|InP indium phosphide|CdTe cadmium telluride
ZnO zinc oxide|ZnS zinc sulfide|TiO2 titanium dioxide|Fe2O3 iron(III) oxide|Fe3O4 magnetite|FeS2 pyrite
FeSO4 iron(II) sulfate|CuSO4 copper(II) sulfate|CuO copper(II) oxide|Cu2O copper(I) oxide|AgNO3 silver nitrate
AgCl silver chloride|AgBr silver bromide|PbO2 lead dioxide|PbS galena|HgS cinnabar|MnO2 manganese dioxide
Cr2O3 chromium(III) oxide|NiO nickel(II) oxide|CoCl2 cobalt(II) chloride|WC tungsten carbide|WO3 tungsten trioxide
V2O5 vanadium pentoxide|ZrO2 zirconium dioxide|LiF lithium fluoride|Li2CO3 lithium carbonate
LiCoO2 lithium cobalt oxide|LiFePO4 lithium iron phosphate|UO2 uranium dioxide|UF6 uranium hexafluoride
ThO2 thorium dioxide|BN boron nitride|B4C boron carbide|NaBH4 sodium borohydride|LiAlH4 lithium aluminium hydride
XeF4 xenon tetrafluoride
"""

COMPOUNDS: dict[str, str] = {
    name: formula
    for entry in _TABLE.strip().replace("\n", "|").split("|")
    for formula, _, name in [entry.partition(" ")]
}
"""Name -> formula."""
