//! A made-up machine: a folder with a copy of `./run`, and a PATH on which apt,
//! dpkg, sudo, cargo and rustup are small scripts that write down their calls.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Programs of every system that the script may count on.
const BASE: &[&str] = &[
    "awk",
    "basename",
    "cat",
    "chmod",
    "cut",
    "date",
    "dirname",
    "env",
    "grep",
    "head",
    "mkdir",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "tail",
    "timeout",
    "touch",
    "true",
    "tr",
    "xargs",
];

/// Commands that set-up looks for, and the package of each.
const PACKAGES: &[(&str, &str)] = &[
    ("gcc", "gcc"),
    ("git", "git"),
    ("xorriso", "xorriso"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("lz4", "lz4"),
    ("qemu-img", "qemu-utils"),
    ("setpriv", "util-linux"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("ssh", "openssh-client"),
    ("busybox", "busybox-static"),
    ("curl", "curl"),
    ("python3", "python3"),
    ("mmdebstrap", "mmdebstrap"),
    ("mcopy", "mtools"),
    ("syslinux", "syslinux"),
    ("fakeroot", "fakeroot"),
];

const APT_GET: &str = r#"echo "apt-get $*" >>"$M/calls"
case "$*" in
*update*) touch "$M/index" ;;
*install*)
	[ ! -e "$M/held" ] || case "$*" in *--allow-downgrades*qemu-utils/*) ;; *) echo "held broken packages"; exit 100 ;; esac
	for word; do case $word in -* | install | DPkg*) ;; *) "$M/unpack" "${word%%/*}" ;; esac; done ;;
esac"#;

const RUSTUP: &str = r#"echo "rustup $*" >>"$M/calls"
[ ! -e "$M/offline" ] || exit 1
echo 1.96.0 >"$M/rust""#;

const CARGO: &str = r#"[ -e "$M/rust" ] || exit 1
case "$*" in
--version) echo "cargo $(cat "$M/rust") (0000000 2026-01-01)" ;;
*--version) ;;
build*) echo "cargo $*" >>"$M/calls"
	mkdir -p target/debug
	printf '#!/bin/sh\necho "innkeeper $*"\n' >target/debug/innkeeper
	chmod +x target/debug/innkeeper ;;
esac"#;

const RUSTC: &str = r#"[ -e "$M/rust" ] && echo "rustc $(cat "$M/rust")""#;

const CURL: &str = r#"echo "curl $*" >>"$M/calls"
[ ! -e "$M/offline" ] || exit 6
while [ "$1" != -o ]; do shift; done
printf '%s\n' '"$M/unpack" rustup' >"$2""#;

/// What `./run` printed and how it ended.
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Everything is installed, the user is root.
    pub fn complete() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for folder in ["bin", "installed", "docs/reference", "home"] {
            fs::create_dir_all(machine.at(folder)).unwrap();
        }
        fs::copy(repository.join("run"), machine.at("run")).unwrap();
        machine.write("Cargo.toml", "[workspace.package]\nrust-version = \"1.94\"\n");
        for program in BASE {
            symlink(real(program), machine.at("bin").join(program)).unwrap();
        }
        machine.script("unpack", &unpack());
        machine.script("bin/id", "cat \"$M/uid\"");
        machine.script(
            "bin/dpkg",
            "test -e \"$M/installed/$2\" && echo 'Status: install ok installed'",
        );
        machine.script("bin/apt-cache", "test ! -e \"$M/index\" || echo '  Candidate: 1:7.2'");
        machine.script("bin/apt-get", APT_GET);
        machine.script("bin/sudo", "[ -e \"$M/sudoer\" ] || exit 1\nshift\n[ \"$1\" = true ] || echo sudo >>\"$M/calls\"\nexec \"$@\"");
        for package in PACKAGES.iter().map(|(_, package)| *package).chain([
            "libc6-dev",
            "ca-certificates",
            "postgresql",
            "python3-venv",
            "rustup",
            "syslinux-common",
            "dosfstools",
            "fdisk",
        ]) {
            machine.install(package);
        }
        fs::remove_file(machine.at("bin/git")).unwrap();
        symlink(real("git"), machine.at("bin/git")).unwrap();
        machine.write("uid", "0\n");
        machine.write("index", "");
        machine.write("rust", "1.95.0\n");
        machine
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    pub fn remove(&self, path: &str) {
        fs::remove_file(self.at(path)).unwrap();
    }

    /// Takes a package away, with its command.
    pub fn without(self, package: &str) -> Self {
        self.remove(&format!("installed/{package}"));
        for (command, _) in PACKAGES.iter().filter(|(_, of)| *of == package) {
            self.remove(&format!("bin/{command}"));
        }
        self
    }

    /// Neither cargo nor rustup.
    pub fn without_rust(self) -> Self {
        for file in ["rust", "installed/rustup", "bin/rustup", "bin/cargo", "bin/rustc"] {
            self.remove(file);
        }
        self
    }

    /// The user is not root.
    pub fn without_root(self) -> Self {
        self.write("uid", "1000\n");
        self
    }

    /// Creates an empty file that changes how the scripts behave.
    pub fn with(self, flag: &str) -> Self {
        self.write(flag, "");
        self
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with(arguments, &[])
    }

    /// The same with more of an environment.
    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let output = Command::new(self.at("run"))
            .args(arguments)
            .env_clear()
            .env("PATH", self.at("bin"))
            .env("HOME", self.at("home"))
            .env("CARGO_HOME", self.at("home/.cargo"))
            .env("M", self.folder.path())
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// The calls that change something, one per line.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.at("calls")).unwrap_or_default()
    }

    fn install(&self, package: &str) {
        let status = Command::new(self.at("unpack"))
            .arg(package)
            .env("M", self.folder.path())
            .status()
            .unwrap();
        assert!(status.success());
    }

    fn script(&self, path: &str, body: &str) {
        self.write(path, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// The script that installs one package: a mark, and its commands.
fn unpack() -> String {
    let mut body = "touch \"$M/installed/$1\"\ncommand() { printf '#!/bin/sh\\n%s\\n' \"$2\" >\"$M/bin/$1\"; chmod +x \"$M/bin/$1\"; }\ncase $1 in\n".to_owned();
    for (command, package) in PACKAGES {
        let text = if *command == "curl" { CURL } else { "" };
        body += &format!("{package}) command {command} {} ;;\n", quoted(text));
    }
    let commands = [("rustup", RUSTUP), ("cargo", CARGO), ("rustc", RUSTC)];
    let commands: Vec<String> =
        commands.iter().map(|(name, text)| format!("command {name} {}", quoted(text))).collect();
    body + &format!("rustup) {} ;;\nesac", commands.join("\n"))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn real(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places
        .find(|place| place.is_file())
        .unwrap_or_else(|| panic!("{program} is missing on this machine"))
}
