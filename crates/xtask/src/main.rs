//! What the project does to itself: tidy checks and generators.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

mod pve_client;
mod pve_schema;
mod tidy;

const USAGE: &str = "\
cargo xtask tidy                              check the rules that the compiler does not know
cargo xtask pve-schema VERSION SCHEMA OUTPUT  generate a table of API methods for the simulator
cargo xtask pve-formats DATA OUTPUT           generate the client's table of property strings
cargo xtask pve-methods OLD NEW OUTPUT        generate the client's table of API methods";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["tidy"] => {
            let problems = tidy::run(&tidy::Repo::load()?)?;
            Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        ["pve-schema", version, schema, output] => {
            pve_schema::generate(version, Path::new(schema), Path::new(output))?;
            Ok(ExitCode::SUCCESS)
        }
        ["pve-formats", data, output] => {
            pve_client::formats(Path::new(data), Path::new(output))?;
            Ok(ExitCode::SUCCESS)
        }
        ["pve-methods", old, new, output] => {
            pve_client::methods(Path::new(old), Path::new(new), Path::new(output))?;
            Ok(ExitCode::SUCCESS)
        }
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}
