"""`make demo`: the whole pipeline on real pictures, measured and checked, with a page to look at."""
