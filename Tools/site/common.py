"""What the parts of the site share: where things are, the links from each page to each part, and how to run a tool."""

import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))  # for header.py

# If the machine lacks one of these, the site lacks it, too.
CARGO, GO = shutil.which("cargo"), shutil.which("go")
PDOC = ROOT / "build/python/bin/pdoc"

BAR = [("index.html", "Sluice"), ("docs/tutorial/README.html", "Tutorial"), ("docs/loop.html", "Loop"),
       ("docs/languages.html", "Languages"), ("c/index.html", "C"), ("cpp/index.html", "C++"),
       ("swift/documentation/sluice/index.html", "Swift"),
       *([("python/index.html", "Python")] if PDOC.exists() else []),
       *([("rust/sluice/index.html", "Rust")] if CARGO else []),
       *([("go/index.html", "Go")] if GO else []),
       ("man/sluice.3.html", "Man pages"), ("ARCHITECTURE.html", "Architecture")]


def run(*command, **options):
    options = {"cwd": ROOT, "text": True, "capture_output": True, "timeout": 600} | options
    done = subprocess.run(list(map(str, command)), check=False, **options)
    if done.returncode:
        sys.exit(f"{command[0]} has failed:\n{done.stdout}{done.stderr}")
    return done


def place(source):
    """Where a file of the repository is in the site."""
    path = source.relative_to(ROOT)
    if path == pathlib.Path("README.md"):
        return pathlib.Path("index.html")
    if path.suffix == ".md":
        return path.with_suffix(".html")
    if source.is_dir():
        return path / "index.html"
    if path.suffix in {".svg", ".png", ".html"}:
        return path
    return path.with_name(path.name + ".html")
