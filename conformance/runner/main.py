"""The command line: which server, which versions, which cases, and the verdict."""

import argparse
import sys
import time

from . import report
from .cases import HERE, VERSIONS, BadCase, all_cases, load
from .play import play
from .send import Client


def arguments():
    parser = argparse.ArgumentParser(prog="conformance/run", description="Checks an LRS against the xAPI specification.")
    parser.add_argument("--url", required=True, help="base URL of the LRS, for 1.0.3 (and 2.0 unless --v2-url is given)")
    parser.add_argument("--v2-url", help="base URL for 2.0")
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--version", choices=[*VERSIONS, "all"], default="all")
    parser.add_argument("--only", metavar="TEXT", help="only cases whose id contains the text")
    parser.add_argument("--report", metavar="FILE.md", help="also write the report as Markdown")
    parser.add_argument("--timeout", type=float, default=20, help="seconds to wait for an answer")
    parser.add_argument("--patience", type=float, default=10, help="seconds to wait while reads lag behind writes")
    parser.add_argument("--list", action="store_true", help="only list the cases")
    return parser.parse_args()


def main():
    given = arguments()
    try:
        cases = all_cases(given.only)
    except BadCase as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if given.list:
        for topic, case in cases:
            print(f"{case['id']}  {'/'.join(case.get('versions', VERSIONS))}  {topic}: {case['title']}")
        return 0
    fixtures = {**load(HERE / "fixtures.json"), "signer": load(HERE / "signer.json")}
    urls = {"1.0.3": given.url, "2.0.0": given.v2_url or given.url}
    began, results = time.monotonic(), []
    for version in VERSIONS if given.version == "all" else [given.version]:
        client = Client(urls[version], version, given.key, given.secret, given.timeout)
        for topic, case in cases:
            if version in case.get("versions", VERSIONS):
                result = play(client, topic, case, fixtures, given.patience)
                results.append(result)
                if result.problems:
                    print(report.failure(result) + "\n")
    return verdict(results, urls, given.report, time.monotonic() - began)


def verdict(results, urls, file, seconds):
    """Success is every case passed, or skipped with its reason said; nothing run is no success."""
    print(report.terminal(results))
    for result in results:
        if result.skipped:
            print(f"skipped {result.case['id']} in {result.version}: {result.skipped}")
    if file:
        with open(file, "w", encoding="utf-8") as out:
            out.write(report.markdown(results, urls))
    passed, failed, skipped = report.counts(results)
    print(f"{seconds:.0f} s" + (f", {skipped} skipped" if skipped else ""))
    print(f"{passed} passed, {failed} failed")
    return 0 if results and passed + skipped == len(results) else 1
