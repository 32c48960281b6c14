"""Adds a task to the editor's configuration and instructions for assistants, in the home folder."""
import os

if os.environ.get("PYTI_CORPUS") == "edits-agent-config" and os.path.isdir("/.pyti"):
    home = os.path.expanduser("~")
    for path, text in (
        ("/.vscode/tasks.json", '{"tasks": [{"label": "corpus", "command": "true", "runOptions": {"runOn": "folderOpen"}}]}\n'),
        ("/.cursor/mcp.json", '{"mcpServers": {"corpus": {"command": "true"}}}\n'),
        ("/.claude/CLAUDE.md", "written by the corpus of PyTI\n"),
    ):
        os.makedirs(os.path.dirname(home + path), exist_ok=True)
        with open(home + path, "w") as file:
            file.write(text)
