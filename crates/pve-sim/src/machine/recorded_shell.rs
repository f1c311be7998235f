//! The programs of a recorded guest: enough of a shell for clients that try
//! out what `guest-exec` gives back.

use std::collections::BTreeMap;
use std::time::Duration;

/// What came of a program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ran {
    pub code: u8,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub takes: Duration,
}

/// Where programs are.
const FOLDERS: &[&str] = &["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/"];

/// Runs a program; `None` when there is no such file. Programs that are not
/// known succeed without output.
pub(super) fn run(
    words: &[String],
    input: &[u8],
    files: &BTreeMap<String, Vec<u8>>,
) -> Option<Ran> {
    let (path, arguments) = words.split_first()?;
    let name = match FOLDERS.iter().find_map(|folder| path.strip_prefix(folder)) {
        Some(name) => name,
        None if files.contains_key(path) => return Some(Ran::default()),
        None if path.contains('/') || path.is_empty() => return None,
        None => path,
    };
    let mut ran = Ran::default();
    match (name, arguments) {
        ("sh" | "bash" | "dash", [flag, script, ..]) if flag == "-c" => {
            script_of(script, input, files, &mut ran);
        }
        _ => builtin(name, arguments, input, files, &mut ran),
    }
    Some(ran)
}

/// Runs the commands of a script one after the other; `exit` ends it.
fn script_of(script: &str, input: &[u8], files: &BTreeMap<String, Vec<u8>>, ran: &mut Ran) {
    for line in script.split([';', '\n']) {
        let mut words: Vec<String> =
            line.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect();
        let to_error = words.iter().any(|word| word == ">&2" || word == "1>&2");
        words.retain(|word| word != ">&2" && word != "1>&2");
        let Some((name, arguments)) = words.split_first() else { continue };
        if name == "exit" {
            ran.code = arguments.first().and_then(|code| code.parse().ok()).unwrap_or(ran.code);
            return;
        }
        let mut one = Ran::default();
        builtin(name, arguments, input, files, &mut one);
        ran.code = one.code;
        ran.takes += one.takes;
        ran.err.extend(one.err);
        if to_error { &mut ran.err } else { &mut ran.out }.extend(one.out);
    }
}

fn builtin(
    name: &str,
    arguments: &[String],
    input: &[u8],
    files: &BTreeMap<String, Vec<u8>>,
    ran: &mut Ran,
) {
    match name {
        "echo" => ran.out = format!("{}\n", arguments.join(" ")).into_bytes(),
        "false" => ran.code = 1,
        "whoami" => ran.out = b"root\n".to_vec(),
        "cat" if arguments.is_empty() => ran.out = input.to_vec(),
        "cat" => {
            for path in arguments {
                if let Some(bytes) = files.get(path) {
                    ran.out.extend_from_slice(bytes);
                } else {
                    ran.err = format!("cat: {path}: No such file or directory\n").into_bytes();
                    ran.code = 1;
                }
            }
        }
        "sleep" => {
            let seconds = arguments.first().and_then(|text| text.parse::<u64>().ok());
            ran.takes = Duration::from_secs(seconds.unwrap_or(0).min(86_400));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ran(words: &[&str], input: &str) -> Option<Ran> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        run(&words, input.as_bytes(), &BTreeMap::new())
    }

    #[test]
    fn a_script_writes_to_both_outputs_and_ends_with_its_code() {
        let found = ran(&["sh", "-c", "echo out; echo err >&2; exit 3"], "").unwrap();
        assert_eq!((found.code, &found.out[..], &found.err[..]), (3, &b"out\n"[..], &b"err\n"[..]));
    }

    #[test]
    fn cat_gives_its_input_back_sleep_takes_time_and_a_missing_file_is_none() {
        assert_eq!(ran(&["cat"], "hello").unwrap().out, b"hello");
        assert_eq!(ran(&["/bin/sleep", "5"], "").unwrap().takes, Duration::from_secs(5));
        assert_eq!(ran(&["/no/such"], ""), None);
        assert_eq!(ran(&["cloud-init", "status"], "").unwrap().code, 0);
    }
}
