//! What the sources look like: lengths of files and functions, ignored tests.

use anyhow::Result;
use proc_macro2::Span;
use syn::visit::{self, Visit};

use super::{Problems, Repo};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// The facts of one Rust file.
pub struct Source {
    /// Relative to the root of the repository.
    pub path: String,
    /// Modules that it declares without a body.
    pub modules: Vec<Module>,
    lines: usize,
    functions: Vec<(String, usize)>,
    ignored: Vec<usize>,
}

/// `mod name;`, below the inline modules `inside`.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    pub inside: Vec<String>,
    pub name: String,
    /// The value of `#[path]`.
    pub at: Option<String>,
}

impl Source {
    /// Reads the facts; an error names the file and the line.
    pub fn parse(path: &str, text: &str) -> Result<Self> {
        let file = syn::parse_file(text).map_err(|error| {
            let line = error.span().start().line;
            anyhow::Error::from(error).context(format!("{path}:{line} cannot be parsed"))
        })?;
        let mut reader = Reader::default();
        reader.visit_file(&file);
        Ok(Self {
            path: path.to_owned(),
            modules: reader.modules,
            lines: text.lines().count(),
            functions: reader.functions,
            ignored: reader.ignored,
        })
    }
}

#[derive(Default)]
struct Reader {
    inside: Vec<String>,
    modules: Vec<Module>,
    functions: Vec<(String, usize)>,
    ignored: Vec<usize>,
}

impl Reader {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = line(signature.fn_token.span);
        let last = line(block.brace_token.span.close());
        self.functions.push((signature.ident.to_string(), last + 1 - first));
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("ignore") {
            self.ignored.push(line(attribute.pound_token.span));
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = item.ident.to_string();
        if item.content.is_none() {
            let at = item.attrs.iter().find_map(path_attribute);
            self.modules.push(Module { inside: self.inside.clone(), name: name.clone(), at });
        }
        self.inside.push(name);
        visit::visit_item_mod(self, item);
        self.inside.pop();
    }
}

fn path_attribute(attribute: &syn::Attribute) -> Option<String> {
    let syn::Meta::NameValue(meta) = &attribute.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &meta.value else {
        return None;
    };
    meta.path.is_ident("path").then(|| text.value())
}

/// Files have up to about 500 lines, tests included.
pub fn file_lengths(repo: &Repo) -> Result<Problems> {
    let measured: Vec<_> =
        repo.sources.iter().map(|source| (source.path.clone(), source.lines)).collect();
    Ok(repo.exceptions.judge("file", FILE_LINES, &measured))
}

/// Functions have up to about 70 lines, from `fn` to the closing brace.
pub fn function_lengths(repo: &Repo) -> Result<Problems> {
    let named = |source: &Source| {
        let path = source.path.clone();
        source
            .functions
            .iter()
            .map(move |(name, lines)| (format!("{path}::{name}"), *lines))
            .collect::<Vec<_>>()
    };
    let measured: Vec<_> = repo.sources.iter().flat_map(named).collect();
    Ok(repo.exceptions.judge("function", FUNCTION_LINES, &measured))
}

/// An ignored test is one that nobody runs.
pub fn ignored(repo: &Repo) -> Result<Problems> {
    Ok(repo.sources.iter().flat_map(check_ignored).collect())
}

fn check_ignored(source: &Source) -> Problems {
    source
        .ignored
        .iter()
        .map(|line| format!("{}:{line}: a test that is ignored; fix or remove it", source.path))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(text: &str) -> Source {
        Source::parse("a.rs", text).unwrap()
    }

    #[test]
    fn functions_are_measured_wherever_they_are() {
        let text = "fn a() {\n}\nimpl X {\n    pub async fn b(\n        &self,\n    ) {\n        fn c() {}\n    }\n}\ntrait T {\n    fn d() {\n    }\n    fn e();\n}\n";
        let expected =
            [("a", 2), ("b", 5), ("c", 1), ("d", 2)].map(|(name, lines)| (name.to_owned(), lines));
        assert_eq!(source(text).functions, expected);
        assert_eq!(source(text).lines, 14);
    }

    #[test]
    fn an_ignored_test_is_a_problem() {
        let text = "mod tests {\n    #[test]\n    #[ignore = \"slow\"]\n    fn a() {}\n}\n";
        assert_eq!(
            check_ignored(&source(text)),
            ["a.rs:3: a test that is ignored; fix or remove it"]
        );
        assert!(check_ignored(&source("fn ignore() {}")).is_empty());
    }

    #[test]
    fn declared_modules_are_found_with_their_place() {
        let text = "mod a;\n#[cfg(test)]\n#[path = \"x/b.rs\"]\nmod b;\nmod c { mod d; }\n";
        let module = |inside: &[&str], name: &str, at: Option<&str>| Module {
            inside: inside.iter().map(|&part| part.to_owned()).collect(),
            name: name.to_owned(),
            at: at.map(str::to_owned),
        };
        assert_eq!(
            source(text).modules,
            [module(&[], "a", None), module(&[], "b", Some("x/b.rs")), module(&["c"], "d", None)]
        );
    }

    #[test]
    fn an_error_names_file_and_line() {
        let error = Source::parse("a.rs", "fn a() {}\nfn (\n").err().unwrap();
        assert!(error.to_string().starts_with("a.rs:2 "), "{error}");
    }
}
