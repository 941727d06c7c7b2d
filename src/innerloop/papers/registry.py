"""All papers, in the order of their years."""

from collections.abc import Sequence

from innerloop.papers.ahn2023 import AHN_2023
from innerloop.papers.akyurek2023 import AKYUREK_2023
from innerloop.papers.bai2023 import BAI_2023
from innerloop.papers.cheng2023 import CHENG_2023
from innerloop.papers.claims import Item, Paper
from innerloop.papers.fu2023 import FU_2023
from innerloop.papers.garg2022 import GARG_2022
from innerloop.papers.kimsuzuki2024 import KIM_SUZUKI_2024
from innerloop.papers.mahankali2023 import MAHANKALI_2023
from innerloop.papers.nath2024 import NATH_2024
from innerloop.papers.raventos2023 import RAVENTOS_2023
from innerloop.papers.vonoswald2022 import VON_OSWALD_2022
from innerloop.papers.vonoswald2023 import VON_OSWALD_2023
from innerloop.papers.wu2024 import WU_2024
from innerloop.papers.yang2023 import YANG_2023
from innerloop.papers.zhang2023 import ZHANG_2023

PAPERS: tuple[Paper, ...] = (
    GARG_2022,
    VON_OSWALD_2022,
    AHN_2023,
    AKYUREK_2023,
    BAI_2023,
    MAHANKALI_2023,
    RAVENTOS_2023,
    VON_OSWALD_2023,
    YANG_2023,
    ZHANG_2023,
    FU_2023,
    CHENG_2023,
    KIM_SUZUKI_2024,
    NATH_2024,
    WU_2024,
)


def paper(key: str) -> Paper:
    """The paper of this key.

    Raises:
        KeyError: If there is none; it names the papers that there are.

    Example:
        >>> paper("mahankali2023").authors
        'Mahankali, Hashimoto, Ma'
    """
    for candidate in PAPERS:
        if candidate.key == key:
            return candidate
    raise KeyError(f"no paper is called {key}; there are {', '.join(p.key for p in PAPERS)}")


def select(keys: Sequence[str] = (), claims: Sequence[str] = ()) -> list[Item]:
    """The claims of some papers, or of all.

    Args:
        keys: Papers' keys; all papers when empty.
        claims: Claims' ids; all claims when empty.

    Returns:
        The claims, in the order of the registry.

    Raises:
        KeyError: If a paper or a claim does not exist; it names those that do.
    """
    papers = [paper(key) for key in dict.fromkeys(keys)] if keys else PAPERS
    items = [Item(p, claim) for p in papers for claim in p.claims]
    known = {item.claim.id for item in items}
    if unknown := [name for name in claims if name not in known]:
        raise KeyError(f"no claim is called {unknown[0]}; there are {', '.join(sorted(known))}")
    return [item for item in items if not claims or item.claim.id in claims]
