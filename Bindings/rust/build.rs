//! Compiles the C core into a static library: by the C compiler, called directly, so that nothing has
//! to be fetched. `CC`, `CFLAGS` and `AR` say which and how, as do `CC_<target>` and so on where one
//! compiles for another machine.
//!
//! A crate that was packaged has the core in `core`, as one file: see `make crate`. Within Sluice's own
//! repository it is compiled from where it stands, so that no copy of it can be an old one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::{env, fs};

fn main() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    let (tree, core) = (here.join("../../CSources/CSluice"), here.join("core"));
    let (sources, includes, watched) = if tree.exists() {
        (
            c_files(&tree),
            vec![tree.join("include"), tree.clone()],
            tree,
        )
    } else {
        (vec![core.join("sluice.c")], vec![core.clone()], core)
    };
    // Watched as a folder: also a file that comes or goes is seen.
    println!("cargo:rerun-if-changed={}", watched.display());
    for name in ["CC", "CFLAGS", "AR"] {
        println!("cargo:rerun-if-env-changed={name}");
    }

    let objects = compile(&sources, &includes, &out);
    let archive = out.join("libsluice.a");
    let _ = fs::remove_file(&archive);
    run(Command::new(tool("AR", "ar"))
        .arg("crs")
        .arg(&archive)
        .args(&objects));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=sluice");
    tell_what_the_compiler_knows();
}

/// All below a folder, in order.
fn c_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("the C core is not at {}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(c_files(&path));
        } else if path.extension().map_or(false, |ext| ext == "c") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// As many at once as Cargo allows.
fn compile(sources: &[PathBuf], includes: &[PathBuf], out: &Path) -> Vec<PathBuf> {
    let jobs = variable("NUM_JOBS").parse().unwrap_or(1);
    let mut objects = Vec::new();
    let mut running: Vec<(Command, Child)> = Vec::new();
    for (number, source) in sources.iter().enumerate() {
        if running.len() >= jobs {
            let (command, child) = running.remove(0);
            wait(&command, child);
        }
        let object = out.join(format!("{number}.o"));
        let mut command = Command::new(tool("CC", "cc"));
        command.args(["-std=c11", "-fPIC", "-fvisibility=hidden"]);
        command.args(["-ffunction-sections", "-fdata-sections"]);
        command.arg(match variable("OPT_LEVEL").as_str() {
            "s" | "z" => "-Os".to_string(),
            level => format!("-O{level}"),
        });
        if variable("DEBUG") != "false" {
            command.arg("-g");
        }
        for folder in includes {
            command.arg("-I").arg(folder);
        }
        command.args(tool("CFLAGS", "").split_whitespace());
        command.arg("-c").arg(source).arg("-o").arg(&object);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}; a C compiler is needed"));
        running.push((command, child));
        objects.push(object);
    }
    for (command, child) in running {
        wait(&command, child);
    }
    objects
}

fn wait(command: &Command, mut child: Child) {
    let status = child.wait().expect("a child that was started");
    assert!(status.success(), "{command:?} ended with {status}");
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?} ended with {status}");
}

/// `unsafe extern` is there since 1.82, and edition 2024 asks for it; the crate is built by 1.63 too.
fn tell_what_the_compiler_knows() {
    let said = Command::new(variable("RUSTC"))
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let minor = said.split('.').nth(1).and_then(|part| part.parse().ok());
    if minor.unwrap_or(0) >= 82 {
        println!("cargo:rustc-check-cfg=cfg(unsafe_extern)");
        println!("cargo:rustc-cfg=unsafe_extern");
    }
}

/// What the environment says of a tool, for the target first.
fn tool(name: &str, otherwise: &str) -> String {
    let target = variable("TARGET");
    let names = [
        format!("{name}_{target}"),
        format!("{name}_{}", target.replace('-', "_")),
        name.to_string(),
    ];
    let given = names.iter().find_map(|name| env::var(name).ok());
    given.unwrap_or_else(|| otherwise.to_string())
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
