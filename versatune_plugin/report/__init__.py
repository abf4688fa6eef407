"""One self-contained page of HTML about runs, or about a comparison of them."""
