//! What the project does to itself: tidy checks and generators.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

mod pve_schema;
mod tidy;

const USAGE: &str = "\
cargo xtask tidy                              check the rules that the compiler does not know
cargo xtask pve-schema VERSION SCHEMA OUTPUT  generate a table of API methods for the simulator";

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
