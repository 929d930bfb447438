//! House rules that a machine can check: who may import whom, sizes, orphans, forbidden names, documented codes.
//!
//! Every check is a function from sources to complaints, and each has a test that shows it can complain.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/source.rs"]
mod source;

use std::path::Path;

use source::{Source, item_end, line, name, words};

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;

/// All Rust sources of the repository.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests", "loadtest"] {
        collect(root, &root.join(folder), &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a directory can be listed").path();
        let hidden = path.file_name().is_some_and(|n| n == "target" || n == "node_modules");
        if path.is_dir() && !hidden {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source can be read");
            let path = path.strip_prefix(root).expect("it is below the root");
            let path = path.to_string_lossy().replace('\\', "/");
            found.push(Source { path, text });
        }
    }
}

/// Fails with every complaint at once.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// The sources of the server and the load generator, without the files that only tests compile.
fn product(sources: &[Source]) -> Vec<&Source> {
    let tests: Vec<_> = sources.iter().flat_map(Source::test_modules).collect();
    let product = sources.iter().filter(|source| {
        let path = source.path.as_str();
        let ours = path.starts_with("src/") || path.starts_with("loadtest/src/");
        ours && !tests.iter().any(|test| path.starts_with(test.as_str()))
    });
    product.collect()
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let lines = |source: &Source| source.text.lines().count();
    let long = sources.iter().filter(|source| lines(source) > MAX_FILE_LINES);
    long.map(|source| format!("{}: {} lines, at most {MAX_FILE_LINES}", source.path, lines(source)))
        .collect()
}

fn long_functions(source: &Source) -> Vec<String> {
    let code = source.code();
    let mut complaints = Vec::new();
    for at in words(&code, "fn") {
        let function = name(code[at + 2..].trim_start());
        if function.is_empty() {
            continue;
        }
        let lines = code[at..at + item_end(&code[at..])].lines().count();
        if lines > MAX_FUNCTION_LINES {
            let at = line(&code, at);
            let path = &source.path;
            complaints.push(format!(
                "{path}:{at}: {function} has {lines} lines, at most {MAX_FUNCTION_LINES}"
            ));
        }
    }
    complaints
}

fn unwraps(source: &Source) -> Vec<String> {
    let code = source.product_code();
    let found = code.match_indices(".unwrap()");
    found
        .map(|(at, _)| format!("{}:{}: unwrap outside of tests", source.path, line(&code, at)))
        .collect()
}

/// The files that may name the module of the file at `path`; none for the root of a crate.
fn parents(path: &str) -> Vec<String> {
    let stem = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs"));
    let stem = stem.unwrap_or(path);
    let Some((folder, last)) = stem.rsplit_once('/') else {
        return Vec::new();
    };
    let a_target = matches!(folder, "tests" | "src/bin" | "loadtest/tests" | "loadtest/benches");
    if last == "main" || last == "lib" || (a_target && !path.ends_with("/mod.rs")) {
        return Vec::new();
    }
    ["/main.rs", "/lib.rs", "/mod.rs", ".rs"].map(|end| format!("{folder}{end}")).to_vec()
}

fn orphans(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let parents = parents(&source.path);
        let stem = source.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let module = stem.rsplit('/').next().unwrap_or(stem);
        let named = sources.iter().filter(|other| parents.contains(&other.path)).any(|other| {
            let code = other.code();
            words(&code, "mod").iter().any(|at| {
                let rest = code[at + 3..].trim_start();
                name(rest) == module && rest[module.len()..].trim_start().starts_with(';')
            })
        });
        if !parents.is_empty() && !named {
            complaints.push(format!("{}: no module names this file", source.path));
        }
        if matches!(module, "utils" | "util" | "helpers" | "misc") {
            complaints.push(format!("{}: a name that says nothing", source.path));
        }
    }
    complaints
}

/// The error codes of a file: the literal after a problem's kind, the literal after `code:`, and those of functions
/// named `code`.
fn error_codes(source: &Source) -> Vec<String> {
    // Blanking keeps every place, so what comes before the tests can be read in the original text too.
    let text = before_tests(&source.text);
    let code = Source::new(&source.path, text).code();
    let blanked: Vec<char> = code.chars().collect();
    let original: Vec<char> = text.chars().collect();
    let place = |at: usize| code[..at].chars().count();
    let mut found = Vec::new();
    for at in words(&code, "fn") {
        if name(code[at + 2..].trim_start()) == "code" {
            let body = &original[place(at)..place(at + item_end(&code[at..]))];
            let body: String = body.iter().collect();
            found.extend(body.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let kinds = code.match_indices("ProblemKind::").map(|(at, mark)| {
        let after = at + mark.len();
        (after + name(&code[after..]).len(), ',')
    });
    let fields = words(&code, "code").into_iter().map(|at| (at + 4, ':'));
    for (at, separator) in kinds.chain(fields) {
        let mut rest = place(at);
        if blanked.get(rest) != Some(&separator) {
            continue;
        }
        rest += 1;
        rest += original[rest..].iter().take_while(|c| c.is_whitespace()).count();
        if original.get(rest) == Some(&'"') {
            found.push(original[rest + 1..].iter().take_while(|&&c| c != '"').collect());
        }
    }
    found.retain(|code| is_code(code));
    found
}

fn before_tests(text: &str) -> &str {
    text.find(source::TEST_MARK).map_or(text, |at| &text[..at])
}

fn is_code(text: &str) -> bool {
    text.len() > 2 && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn undocumented(sources: &[Source], manual: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in product(sources) {
        for code in error_codes(source) {
            if !manual.contains(&format!("`{code}`")) {
                complaints
                    .push(format!("{}: the error code `{code}` is not documented", source.path));
            }
        }
    }
    complaints.sort();
    complaints.dedup();
    complaints
}

#[test]
fn every_layer_imports_only_what_it_may() {
    let sources = sources();
    let product = product(&sources).into_iter();
    none(product.flat_map(imports::forbidden).collect());
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let sources = sources();
    let mut complaints = long_files(&sources);
    complaints.extend(sources.iter().flat_map(long_functions));
    none(complaints);
}

#[test]
fn nothing_unwraps_outside_of_tests() {
    let sources = sources();
    none(product(&sources).into_iter().flat_map(unwraps).collect());
}

#[test]
fn every_file_belongs_to_a_module_with_a_name_that_says_something() {
    none(orphans(&sources()));
}

#[test]
fn every_error_code_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manual: String = ["README.md", "ARCHITECTURE.md"]
        .map(|file| std::fs::read_to_string(root.join(file)).unwrap_or_default())
        .concat();
    none(undocumented(&sources(), &manual));
}

#[test]
fn every_test_that_the_protocol_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tables = std::fs::read_to_string(root.join("PROTOCOL.md")).unwrap_or_default();
    assert!(
        tables.lines().filter(|line| line.starts_with('|')).count() > 60,
        "PROTOCOL.md has tables"
    );
    none(unproven(&tables, &sources()));
}

#[test]
fn the_check_of_named_tests_can_complain() {
    let source = Source::new("tests/a.rs", "async fn this_is_shown_by_it() {}");
    let tables = "`this_is_shown_by_it` `and_this_by_nothing_at_all` `allow_history_for_client`";
    assert_eq!(unproven(tables, &[source]).len(), 1);
}

/// What a text names as a test, by its many words, and is none.
fn unproven(text: &str, sources: &[Source]) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| name.split('_').count() > 4 && !name.contains(' ');
    let exists = |name: &str| sources.iter().any(|it| it.text.contains(&format!("fn {name}(")));
    let missing = quoted.filter(is_test).filter(|name| !exists(name));
    missing.map(|name| format!("PROTOCOL.md: there is no test {name}")).collect()
}

#[test]
fn the_size_checks_can_complain() {
    let long = "let x = 1;\n".repeat(MAX_FUNCTION_LINES);
    let function = Source::new("src/a.rs", &format!("fn long() {{\n{long}}}\nfn short() {{}}\n"));
    assert_eq!(long_functions(&function).len(), 1);
    let file = Source::new("src/a.rs", &"\n".repeat(MAX_FILE_LINES + 1));
    assert_eq!(long_files(&[file]).len(), 1);
}

#[test]
fn the_unwrap_check_can_complain_and_knows_tests_texts_and_comments() {
    let bad = Source::new(
        "src/a.rs",
        "fn f() { g().unwrap(); }\n#[cfg(test)]\nmod tests {}\nfn h() { g().unwrap() }",
    );
    assert_eq!(unwraps(&bad).len(), 2);
    let good = "// .unwrap()\nfn f<'a>() -> &'a str { \".unwrap() \\\" {\" }\n\
                const R: &str = r#\"{ .unwrap()\"#; const C: char = '{';\n\
                #[cfg(test)]\nmod tests { fn g() { h().unwrap() } }\n";
    assert_eq!(unwraps(&Source::new("src/a.rs", good)), Vec::<String>::new());
}

#[test]
fn files_of_test_modules_are_no_product() {
    let sources = [
        Source::new(
            "src/a/mod.rs",
            "#[cfg(test)]\npub(crate) mod contract;\nmod b;\n#[cfg(test)]\nmod tests {}\n",
        ),
        Source::new("src/a/b.rs", "#[cfg(test)]\nmod tests;\n"),
        Source::new("src/a/b/tests.rs", ""),
        Source::new("src/a/contract/mod.rs", ""),
        Source::new("src/a/contract/deep.rs", ""),
        Source::new("tests/it/main.rs", ""),
    ];
    let product: Vec<_> = product(&sources).iter().map(|s| s.path.as_str()).collect();
    assert_eq!(product, ["src/a/mod.rs", "src/a/b.rs"]);
}

#[test]
fn the_orphan_check_can_complain() {
    let sources = [
        Source::new("src/lib.rs", "pub mod a;\n// mod b;\n"),
        Source::new("src/a/mod.rs", "mod named;\n"),
        Source::new("src/a/named.rs", ""),
        Source::new("src/a/forgotten.rs", ""),
        Source::new("src/b.rs", ""),
        Source::new("src/a/utils.rs", ""),
        Source::new("tests/it/main.rs", "mod x;"),
        Source::new("tests/it/x.rs", ""),
        Source::new("tests/tidy.rs", "mod source;"),
        Source::new("tests/tidy/source.rs", ""),
    ];
    let complaints = orphans(&sources);
    assert_eq!(complaints.len(), 4, "{complaints:?}");
    for (complaint, file) in
        complaints.iter().zip(["src/a/forgotten.rs", "src/b.rs", "src/a/utils.rs"])
    {
        assert!(complaint.starts_with(file), "{complaint}");
    }
}

#[test]
fn the_code_check_can_complain() {
    let source = Source::new(
        "src/domain/errors.rs",
        "impl E { fn code(&self) -> &'static str { match self { E::A => \"email_taken\", E::B => \"not_found\" } } }\n\
         fn f() { Problem::new(ProblemKind::Conflict, \n \"version_conflict\", \"no code\") }\n\
         fn g() { FieldError { field, code: \"too_long\", detail } }\n\
         #[cfg(test)]\nmod tests { fn code() { \"only_in_tests\"; } }\n",
    );
    let complaints = undocumented(&[source], "| `email_taken` | 409 |");
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}
