"""Every task at sizes that are different primes, and which of them know their best predictor."""

from innerloop import tasks

N, M = 13, 7
MIXING = ((1.0, 0.3, 0.0), (0.0, 0.8, -0.2), (0.1, 0.0, 0.5))
COMB = (tasks.Covariance("exp", last=2), tasks.Covariance("linear", 0.5, first=2))
SIZES = {"n": N, "m": M, "d": 3}

LINEAR = tasks.LinearRegression(**SIZES, targets=2, noise=0.3, teacher_mixing=MIXING)
TASKS = {
    "linear_regression": LINEAR,
    "linear_mixed": tasks.LinearRegression(
        **SIZES, noise=0.2, covariates=tasks.Covariates("laplace", 0.7, MIXING)
    ),
    "linear_few_examples": tasks.LinearRegression(
        n=2, m=M, d=5, covariates=tasks.Covariates("uniform", 0.5)
    ),
    "teacher_pool": tasks.TeacherPool(**SIZES, noise=1.5, size=5),
    "sparse_linear": tasks.SparseLinear(n=3, m=M, d=5, nonzero=2, noise=0.5),
    "quadratic": tasks.Quadratic(**SIZES, noise=0.5),
    "gp_linear": tasks.GaussianProcess(n=2, m=M, d=5),
    "gp_relu": tasks.GaussianProcess(**SIZES, kernel=(tasks.Covariance("relu"),)),
    "gp_exp": tasks.GaussianProcess(
        **SIZES,
        kernel=(tasks.Covariance("exp"),),
        covariates=tasks.Covariates("sphere", 1.5, MIXING),
        noise=0.1,
    ),
    "gp_rbf": tasks.GaussianProcess(
        **SIZES,
        kernel=(tasks.Covariance("rbf", bandwidth=0.7),),
        covariates=tasks.Covariates("normal"),
    ),
    "gp_cosine": tasks.GaussianProcess(
        **SIZES, kernel=(tasks.Covariance("cosine"),), covariates=tasks.Covariates(), noise=0.2
    ),
    "gp_comb": tasks.GaussianProcess(**SIZES, kernel=COMB, noise=0.1),
    "scaled_targets": tasks.ScaledTargets(task=LINEAR, alpha=3.0),
}
NO_BAYES = {
    "prompt_pool": tasks.PromptPool(**SIZES, size=3),
    "sine": tasks.Sine(n=N, m=M),
    "correlated_sine": tasks.CorrelatedSine(n=N, m=M),
    "network_teacher": tasks.NetworkTeacher(**SIZES, hidden=(5, 11), noise=0.1, shift=-2.0),
    "decision_tree": tasks.DecisionTree(**SIZES, depth=3),
    "mixture": tasks.Mixture(),
    "unit_context": tasks.LinearRegression(
        **SIZES, covariates=tasks.Covariates("exponential", 2.0, unit_context=True)
    ),
}
