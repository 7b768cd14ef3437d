"""Makes model packages (docs/models.md) from models that live elsewhere.

On the command line ``python -m vsearch.export``; each source of models is one file here: ``hf`` for
Hugging Face folders, ``efficientnet`` for the network behind the default encoder. ``package``
writes, reads and fingerprints packages, and ``preprocess`` is the reference for what happens to a
picture before the network sees it.

Needs torch; does not need the compiled part of ``vsearch``.
"""


class ExportError(Exception):
    """A model that cannot become a package. The message names the input and the remedy."""
