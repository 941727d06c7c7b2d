r"""Polynomials of one variable, as their coefficients, the constant first.

    p(x) = c_0 + c_1 x + ... + c_k x^k

What is computed of polynomials is kept as one where it is one, so that products stay exact and it
is known where two of them meet.
"""

from collections.abc import Sequence

from numpy.polynomial import Polynomial

Coefficients = tuple[float, ...]
_POWERS = {f"[('y', '{n}')]": n for n in range(1, 5)}
_REAL = 1e-9


def polynomial_result(
    name: str, inputs: Sequence[Coefficients | None], settings: str
) -> Coefficients | None:
    """The coefficients of an operation on polynomials, or None where it is none.

    Args:
        name: The primitive's name.
        inputs: Its operands; None for what is no polynomial.
        settings: The primitive's parameters in words.
    """
    known = [Polynomial(c) for c in inputs if c is not None]
    if len(known) != len(inputs):
        return None
    match name:
        case "add" | "add_any":
            result = known[0] + known[1]
        case "sub":
            result = known[0] - known[1]
        case "neg":
            result = -known[0]
        case "mul":
            result = known[0] * known[1]
        case "square":
            result = known[0] ** 2
        case "integer_pow" if settings in _POWERS:
            result = known[0] ** _POWERS[settings]
        case "div" if known[1].degree() == 0:
            result = known[0] / known[1].coef[0]
        case "copy" | "convert_element_type" | "stop_gradient":
            result = known[0]
        case _:
            return None
    return tuple(float(c) for c in result.trim().coef)


def meetings(inputs: Sequence[Coefficients | None]) -> set[float]:
    """Where two polynomials are equal; nothing is known of other functions."""
    known = [Polynomial(c) for c in inputs if c is not None]
    if len(known) < len(inputs):
        return set()
    roots = (known[0] - known[1]).trim().roots()
    return {float(r.real) + 0.0 for r in roots if abs(r.imag) <= _REAL * max(1.0, abs(r))}
