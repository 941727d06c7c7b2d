"""What the paper trained: claims whose transformers are not trained here yet."""

from innerloop.papers.claims import untrained

TRAINED = (
    untrained(
        "trained-one-layer",
        "A trained layer of linear attention has the loss of one tuned gradient step, also "
        "after its weights are compressed or interpolated with the construction's.",
        "Section 5, linear dynamics",
    ),
    untrained(
        "trained-six-layers",
        "Six trained layers behave like six or seven steps of Proposition 2.",
        "Section 5, linear dynamics",
    ),
    untrained(
        "trained-mesa",
        "Of single layers the mesa layer trains to the lowest loss.",
        "Section 5, linear dynamics",
    ),
    untrained(
        "copying-probe",
        "In softmax transformers the previous state can be read after the first layer.",
        "Section 5, probes",
    ),
    untrained(
        "preconditioning-probe",
        "Targets and preconditioned states can be read better with depth and with time.",
        "Section 5, probes",
    ),
    untrained(
        "fixed-teacher",
        "Trained on one fixed dynamics, transformers do not learn in context.",
        "Appendix",
    ),
    untrained(
        "few-shot",
        "Trained on sequences, transformers do few-shot regression; a token for the end of an "
        "example and tuned prefixes help.",
        "Section 6",
    ),
    untrained(
        "softmax-kernel",
        "Kernel regression with softmax degrades in more dimensions; ridge does not.",
        "Appendix",
    ),
)
