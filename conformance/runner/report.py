"""Says what happened: on the terminal, and as Markdown for a file."""


def failure(result):
    lines = [f"FAILED {result.case['id']} in {result.version}: {result.case['title']}"]
    lines.append(f"  requirement: {result.case['requirement']}")
    lines += [f"  {problem}" for problem in result.problems]
    lines += [f"  | {line}" for line in result.exchange.splitlines()[:60]]
    return "\n".join(lines)


def by_topic(results):
    topics = {}
    for result in results:
        topics.setdefault(result.topic, []).append(result)
    return topics


def counts(results):
    passed = sum(result.passed for result in results)
    skipped = sum(result.skipped is not None for result in results)
    return passed, len(results) - passed - skipped, skipped


def terminal(results):
    """A line per topic."""
    lines = []
    for topic, some in by_topic(results).items():
        passed, failed, skipped = counts(some)
        tail = f", {failed} FAILED" if failed else ""
        tail += f", {skipped} skipped" if skipped else ""
        lines.append(f"{topic:<44} {passed:>4} of {len(some):>4} passed{tail}")
    return "\n".join(lines)


def markdown(results, urls):
    """The whole report: totals, then each topic with its cases, then every failure with its exchange."""
    passed, failed, skipped = counts(results)
    lines = ["# Conformance report", ""]
    lines += [f"- {version}: `{url}`" for version, url in urls.items()]
    lines += [f"- {passed} passed, {failed} failed, {skipped} skipped", ""]
    for topic, some in by_topic(results).items():
        lines += [f"## {topic}", "", "| case | version | requirement | says | result |", "|---|---|---|---|---|"]
        for result in some:
            outcome = "passed" if result.passed else f"skipped: {result.skipped}" if result.skipped else "**failed**"
            case = result.case
            cells = [f"`{case['id']}`", result.version, case["requirement"], case["title"], outcome]
            lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
        lines.append("")
    broken = [result for result in results if result.problems]
    if broken:
        lines += ["## Failures", ""]
    for result in broken:
        lines += [f"### {result.case['id']} in {result.version}", ""]
        lines += [f"- {problem}" for problem in result.problems]
        lines += ["", "~~~", result.exchange, "~~~", ""]
    return "\n".join(lines) + "\n"
