//! Licence expressions (SPDX, and cargo's old `/` for OR).

use std::iter::Peekable;

/// Licences that both of ours (Apache-2.0 or MIT) can be combined with.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// An exception adds permissions, so the licence without it must be allowed.
const EXCEPTIONS: &[&str] = &["LLVM-exception"];

/// Whether the expression can be fulfilled with allowed licences alone. What
/// cannot be read is not allowed.
pub fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words) == Some(true) && words.next().is_none()
}

fn either<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<bool> {
    let mut allowed = both(words)?;
    while words.next_if_eq(&"OR").is_some() {
        allowed |= both(words)?;
    }
    Some(allowed)
}

fn both<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<bool> {
    let mut allowed = one(words)?;
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words)?;
    }
    Some(allowed)
}

fn one<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let allowed = Box::new(either(words)?);
        return (words.next()? == ")").then_some(*allowed);
    }
    let mut allowed = ALLOWED.contains(&word);
    if words.next_if_eq(&"WITH").is_some() {
        allowed &= EXCEPTIONS.contains(&words.next()?);
    }
    Some(allowed)
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn allowed_expressions() {
        for expression in [
            "MIT",
            "MIT/Apache-2.0",
            "MIT OR GPL-3.0-only",
            "ISC AND (Apache-2.0 OR OpenSSL)",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ] {
            assert!(is_allowed(expression), "{expression}");
        }
    }

    #[test]
    fn refused_expressions() {
        for expression in [
            "",
            "GPL-3.0-only",
            "MIT AND AGPL-3.0-only",
            "ISC AND (OpenSSL OR GPL-3.0-only)",
            "MIT WITH Something-exception",
            "MIT OR",
            "(MIT",
            "MIT Apache-2.0",
        ] {
            assert!(!is_allowed(expression), "{expression}");
        }
    }
}
