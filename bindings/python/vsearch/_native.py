"""The compiled module, or an error that says what to do where it is missing."""

try:
    from ._vsearch import Catalog, Encoder, ExactSearcher, IdFilter, Index, version
except ModuleNotFoundError as error:
    if error.name != f"{__package__}._vsearch":
        raise
    raise ImportError(
        "vsearch is here without its compiled part (_vsearch): build it with `make build` "
        "and use .venv/bin/python",
        name=error.name,
    ) from error

__all__ = ["Catalog", "Encoder", "ExactSearcher", "IdFilter", "Index", "version"]
