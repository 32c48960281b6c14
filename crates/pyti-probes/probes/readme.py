"""Renders a description in reStructuredText with docutils, and tells what docutils complains of.

The settings are those by which indexes show descriptions: no file is read, nothing raw is let through.
"""

import os
import sys

sys.path[0:1] = []
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pyti_results as results
sys.path[0:1] = []


def main():
    results.open_results(sys.argv[1])
    text = sys.stdin.buffer.read().decode("utf-8", "replace")

    import docutils
    import docutils.core
    import docutils.utils

    said = []

    class Heard(docutils.utils.Reporter):
        def system_message(self, level, message, *children, **kwargs):
            told = super().system_message(level, message, *children, **kwargs)
            if level >= 2 and len(said) < 100:
                line = told.get("line")
                said.append((level, line if isinstance(line, int) else None, str(message)[:500]))
            return told

    docutils.utils.Reporter = Heard
    settings = {
        "cloak_email_addresses": True,
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "halt_level": 5,
        "report_level": 5,
        "initial_header_level": 2,
        "math_output": "MathJax",
        "sectsubtitle_xform": True,
        "smart_quotes": True,
        "strip_comments": True,
        # highlighting needs another package, and says nothing of the text
        "syntax_highlight": "none",
        "_disable_config": True,
        "warning_stream": False,
    }
    docutils.core.publish_parts(text, writer="html4css1", settings_overrides=settings)
    for level, line, message in said:
        results.tell(severity=level, line=line, text=message)
    results.tell(finished=True, by="docutils " + docutils.__version__)


if __name__ == "__main__":
    main()
