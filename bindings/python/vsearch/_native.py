"""The compiled module, or an error that says what to do where it is missing."""

try:
    from ._vsearch import (
        Audit,
        Catalog,
        CatalogEvaluation,
        Dataset,
        Encoder,
        Evaluation,
        ExactSearcher,
        IdFilter,
        Index,
        audit_encoder,
        catalog_dataset,
        catalog_dataset_of_queries,
        compare_paired,
        dataset_kinds,
        distill,
        estimate_mean,
        evaluate_catalog,
        evaluate_encoder,
        evaluate_rows,
        load_dataset,
        score_retrieval,
        train,
        train_text,
        version,
        write_report,
    )
except ModuleNotFoundError as error:
    if error.name != f"{__package__}._vsearch":
        raise
    raise ImportError(
        "vsearch is here without its compiled part (_vsearch): build it with `make build` "
        "and use .venv/bin/python",
        name=error.name,
    ) from error

__all__ = [
    "Audit",
    "Catalog",
    "CatalogEvaluation",
    "Dataset",
    "Encoder",
    "Evaluation",
    "ExactSearcher",
    "IdFilter",
    "Index",
    "audit_encoder",
    "catalog_dataset",
    "catalog_dataset_of_queries",
    "compare_paired",
    "dataset_kinds",
    "distill",
    "estimate_mean",
    "evaluate_catalog",
    "evaluate_encoder",
    "evaluate_rows",
    "load_dataset",
    "score_retrieval",
    "train",
    "train_text",
    "version",
    "write_report",
]
