"""What the paper trained: claims whose transformers are not trained here yet."""

from innerloop.papers.claims import untrained

TRAINED = (
    untrained(
        "trained-noiseless",
        "On data without noise trained transformers agree with ordinary least squares, in "
        "predictions and in implied weights.",
        "Section 4, noiseless data",
    ),
    untrained(
        "trained-noise",
        "On noisy data the ridge regression that they agree with best has λ = σ²/τ².",
        "Section 4, noisy data",
    ),
    untrained(
        "trained-depth",
        "One layer agrees with a gradient step, a few with ridge, eight and more with least "
        "squares.",
        "Section 4, phases in depth",
    ),
    untrained(
        "trained-width",
        "They agree with ridge regression from a hidden width of 16 in 8 dimensions on.",
        "Section 4, phases in width",
    ),
    untrained(
        "probes",
        "The moment vector Xᵀy and the weights of least squares can be read from late layers.",
        "Section 5",
    ),
)
