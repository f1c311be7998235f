//! The guest's reader of YAML and cloud-config, run as the guest runs it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs the guest's YAML reader as the guest does.
fn read_yaml(mode: &str, document: &str) -> Result<String, String> {
    use std::io::Write as _;
    let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("guest");
    let mut child = Command::new("busybox")
        .args(["awk", "-v", &format!("mode={mode}"), "-f"])
        .arg(guest.join("yaml.awk"))
        .arg("-f")
        .arg(guest.join(if mode == "flat" { "flat.awk" } else { "cloud-config.awk" }))
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("busybox is missing; install the package busybox-static");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(document.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

mod yaml {
    use super::read_yaml;

    #[track_caller]
    fn reads(document: &str, nodes: &[&str]) {
        let read = read_yaml("flat", document).unwrap();
        let lines: Vec<&str> = read.lines().skip(1).collect();
        assert_eq!(lines, nodes, "{document}");
    }

    #[track_caller]
    fn refuses(document: &str, line: usize, word: &str) {
        let error = read_yaml("flat", document).unwrap_err();
        assert!(
            error.starts_with(&format!("line {line}: ")) && error.contains(word),
            "{document}\ngave: {error}"
        );
    }

    #[test]
    fn block_collections_nest_in_every_usual_way() {
        reads(
            "a: 1\nb:\n- x\n- y: 1\n  z: 2\n-   - q\nc:\n    d: e\n",
            &[
                "/a plain <1>",
                "/b seq",
                "/b/0 plain <x>",
                "/b/1 map",
                "/b/1/y plain <1>",
                "/b/1/z plain <2>",
                "/b/2 seq",
                "/b/2/0 plain <q>",
                "/c map",
                "/c/d plain <e>",
            ],
        );
        reads(
            "- a\n-\n  b: c\n- - d\n  - e\n",
            &[
                "/0 plain <a>",
                "/1 map",
                "/1/b plain <c>",
                "/2 seq",
                "/2/0 plain <d>",
                "/2/1 plain <e>",
            ],
        );
    }

    #[test]
    fn scalars_keep_what_the_user_wrote() {
        reads(
            "a: 'it''s # no: comment' # yes\nb: \"x\\ty\\u00e9\\\\\"\nc: http://h:1/p#f\nd: ~\ne:\n\"f g\": a b\n",
            &[
                "/a str <it's # no: comment>",
                "/b str <x\\tyé\\\\>",
                "/c plain <http://h:1/p#f>",
                "/d null",
                "/e null",
                "/f g plain <a b>",
            ],
        );
        reads(
            "a: one\n  two\n\n  three\nb: \"one\n  two \\\n  three\"\n",
            &["/a plain <one two\\nthree>", "/b str <one two three>"],
        );
    }

    #[test]
    fn blocks_follow_their_indicators() {
        reads(
            "a: |\n  x\n   y\n\n  z\nb: |-\n  x\n\nc: |+\n  x\n\nd: >\n  x\n  y\n\n  z\ne: |2\n    x\n",
            &[
                "/a str <x\\n y\\n\\nz\\n>",
                "/b str <x>",
                "/c str <x\\n\\n>",
                "/d str <x y\\nz\\n>",
                "/e str <  x\\n>",
            ],
        );
        reads(
            "- |\n  #!/bin/sh\n  # a: [b\n- z\n",
            &["/0 str <#!/bin/sh\\n# a: [b\\n>", "/1 plain <z>"],
        );
    }

    #[test]
    fn json_is_yaml() {
        reads(
            "{\"a\": [1, \"x\\n\", {\"b\": null}],\n \"c\": {},\n \"d\": \"\\ud83d\\ude00\"}\n",
            &[
                "/a seq",
                "/a/0 plain <1>",
                "/a/1 str <x\\n>",
                "/a/2 map",
                "/a/2/b null",
                "/c map",
                "/d str <😀>",
            ],
        );
    }

    #[test]
    fn windows_line_ends_and_one_document_marker_are_fine() {
        reads("---\r\na: b\r\nc: |\r\n  d\r\n...\r\n", &["/a plain <b>", "/c str <d\\n>"]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        refuses("a: 1\nb: &x 2\n", 2, "anchors");
        refuses("a: *x\n", 1, "aliases");
        refuses("a: !!binary eA==\n", 1, "tags");
        refuses("a:\n  <<: {b: c}\n", 2, "merge");
        refuses("? a\n: b\n", 1, "complex");
        refuses("a: 1\n---\nb: 2\n", 2, "document");
        refuses("a:\n\tb: 1\n", 2, "tab");
        refuses("a: 1\na: 2\n", 2, "twice");
        refuses("a: b: c\n", 1, "quotes");
        refuses("a: [1, 2\nb: 3\n", 2, "");
        refuses("a: 'x\n", 1, "closed");
        refuses("a: \"\\q\"\n", 1, "escape");
        refuses("a:\n   b: 1\n  c: 2\n", 3, "indentation");
        refuses("a: 1\n- b\n", 2, "key");
        refuses("a: {b: c} d\n", 1, "unexpected");
        refuses("%YAML 1.2\n---\n", 1, "directives");
        refuses(&"- ".repeat(40), 1, "levels");
        refuses(&"[".repeat(40), 1, "levels");
        refuses(&format!("a: {}\n", "x".repeat(1 << 20)), 1, "1 MiB");
    }
}

mod cloud_config {
    use super::read_yaml;

    #[test]
    fn commands_are_lines_or_quoted_words() {
        let script = read_yaml(
            "runcmd",
            "runcmd:\n- echo \"$HOME\" | cat\n- [echo, \"it's $HOME\", 3]\n-\n",
        )
        .unwrap();
        assert_eq!(script, "#!/bin/sh\necho \"$HOME\" | cat\n'echo' 'it'\\''s $HOME' '3'\n");
        assert_eq!(read_yaml("bootcmd", "runcmd: [x]\n").unwrap(), "");
    }

    #[test]
    fn the_shell_never_expands_what_the_document_holds() {
        let nasty = "'$(touch /tmp/x)`y`\\'";
        let document = serde_json::json!({
            "hostname": nasty,
            "ssh_authorized_keys": [nasty],
            "write_files": [{ "path": format!("/{nasty}"), "content": nasty, "owner": nasty }],
            "final_message": nasty,
        });
        let shell = read_yaml("init", &document.to_string()).unwrap();
        let checked = format!(
            "note() {{ :; }}; fail() {{ :; }}; add_default_user() {{ :; }}\n\
             set_hostname() {{ printf '%s\\n' \"$1\"; }}; default_key() {{ printf '%s\\n' \"$1\"; }}\n\
             write_file() {{ printf '%s\\n' \"$1\" \"$3\" \"$6\"; }}\n{shell}printf '%s\\n' \"$final_message\"\n"
        );
        let output = std::process::Command::new("sh").args(["-c", &checked]).output().unwrap();
        let expected = format!("{nasty}\n/{nasty}\n{nasty}\n{nasty}\n{nasty}\n{nasty}\n");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }

    #[test]
    fn mistakes_are_named_and_foreign_keys_noted() {
        let shell = read_yaml(
            "init",
            "packages: [nginx]\nusers:\n- gecos: x\nwrite_files:\n- path: relative\n",
        )
        .unwrap();
        assert!(shell.contains("note 'ignored: \"packages\""), "{shell}");
        assert!(shell.contains("fail 'users: entry 0"), "{shell}");
        assert!(shell.contains("fail 'write_files: entry 0"), "{shell}");
        assert!(read_yaml("runcmd", "runcmd: x\n").unwrap_err().contains("list"));
        assert!(read_yaml("init", "- x\n").unwrap_err().contains("map"));
    }

    #[test]
    fn meta_data_gives_identity_and_keys() {
        let shell = read_yaml(
            "meta",
            "instance-id: i-1\nlocal-hostname: h\npublic-keys:\n  mine: ssh-ed25519 A\n  two: {openssh-key: ssh-rsa B}\n",
        )
        .unwrap();
        assert_eq!(
            shell,
            "instance_id='i-1'\nlocal_hostname='h'\nmeta_key 'ssh-ed25519 A'\nmeta_key 'ssh-rsa B'\n"
        );
    }
}
