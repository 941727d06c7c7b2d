"""The literature, claim by claim: *paper said / we got / verdict*.

A claim runs by itself, `measured(paper("mahankali2023").claim("step-size"), "smoke")`, or all of
them by `innerloop reproduce`.
"""

from innerloop.papers.claims import SCALES as SCALES
from innerloop.papers.claims import Check as Check
from innerloop.papers.claims import Claim as Claim
from innerloop.papers.claims import Item as Item
from innerloop.papers.claims import Outcome as Outcome
from innerloop.papers.claims import Paper as Paper
from innerloop.papers.registry import PAPERS as PAPERS
from innerloop.papers.registry import paper as paper
from innerloop.papers.registry import select as select
from innerloop.papers.reproduce import Row as Row
from innerloop.papers.reproduce import measured as measured
from innerloop.papers.reproduce import missing as missing
from innerloop.papers.reproduce import rows as rows
from innerloop.papers.reproduce import run_missing as run_missing
from innerloop.papers.results import Result as Result
from innerloop.papers.results import Store as Store
from innerloop.papers.verdicts import Verdict as Verdict
from innerloop.papers.verdicts import verdict as verdict
