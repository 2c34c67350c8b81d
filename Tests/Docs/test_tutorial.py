"""docs/tutorial: the pages quote the programs as they are, and show what they print. Each program and each
picture is there, and each step says what goes wrong without it."""

import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/tutorial"
STEPS = sorted(FOLDER.glob("[0-9]*.md"))
PROGRAMS = sorted(path for path in (ROOT / "Programs/tutorial").iterdir()
                  if path.suffix in (".c", ".py"))


class TutorialTest(unittest.TestCase):
    def test_the_pages_show_what_the_programs_are_and_print(self):
        done = subprocess.run([ROOT / "Tools/pages", "--check"], capture_output=True, text=True,
                              timeout=300, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_the_commands_that_run_a_step_do(self):
        [block] = re.findall(r"^```sh\n(.*?)^```", (FOLDER / "README.md").read_text(),
                             re.DOTALL | re.MULTILINE)
        done = subprocess.run(["sh", "-e", "-c", block], cwd=ROOT, capture_output=True, text=True,
                              timeout=300, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.count("select says that 2 can be read:"), 2)

    def test_each_program_is_run_by_a_page(self):
        run = {name for page in STEPS
               for name in re.findall(r"^<!-- run (\S+) -->$", page.read_text(), re.MULTILINE)}
        self.assertEqual(run, {str(path.relative_to(ROOT)) for path in PROGRAMS})

    def test_each_step_has_its_parts(self):
        self.assertEqual(len(STEPS), 12)
        for number, page in enumerate(STEPS, 1):
            with self.subTest(page=page.name):
                text = page.read_text()
                self.assertTrue(text.startswith(f"# {number}. "))
                for part in ("![", "## What goes wrong without it", "Python", "## Exercise",
                             "<summary>The answer</summary>"):
                    self.assertIn(part, text)
                self.assertIn(f"| {number} | [", (FOLDER / "README.md").read_text())

    def test_the_steps_follow_one_another(self):
        for page, following in zip(STEPS, STEPS[1:]):
            self.assertIn(f"]({following.name})\n", page.read_text())


if __name__ == "__main__":
    unittest.main()
