"""`make demo`: the whole pipeline on real pictures, measured, checked, with a page to look at."""
