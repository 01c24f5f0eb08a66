"""The documentation as a site: scripts/site/build."""

project = html_title = "progress-service"
extensions = ["myst_parser"]
exclude_patterns = ["trees"]
html_theme = "furo"
html_static_path = ["style"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
# Headings have the anchors that GitHub gives them.
myst_heading_anchors = 4
# Examples are shortened with dots, which no language knows.
suppress_warnings = ["misc.highlighting_failure"]
