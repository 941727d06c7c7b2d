"""Reports: from runs to saved results, from saved results to figures, from figures to one page."""

from innerloop.report.archive import load_results as load_results
from innerloop.report.archive import save_results as save_results
from innerloop.report.cuts import covariate_cut as covariate_cut
from innerloop.report.cuts import image_cut as image_cut
from innerloop.report.measure import Runs as Runs
from innerloop.report.measure import study as study
from innerloop.report.measure import versions as versions
from innerloop.report.page import write_report as write_report
from innerloop.report.results import Cut as Cut
from innerloop.report.results import Results as Results
from innerloop.report.results import Study as Study
from innerloop.report.results import Yardstick as Yardstick
from innerloop.report.split import Split as Split
