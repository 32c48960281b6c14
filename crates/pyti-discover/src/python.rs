//! Reading Python sources as far as needed: logical lines of tokens, and literals. Nothing is evaluated.

/// Tokens of one file that are read at most.
const TOKENS: usize = 400_000;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name or keyword.
    Name(String),
    /// A string's content; `plain` unless it is an f-string or bytes.
    Text { value: String, plain: bool },
    /// Anything else, one character.
    Mark(char),
}

impl Token {
    pub(crate) fn name(&self) -> Option<&str> {
        if let Self::Name(name) = self {
            Some(name)
        } else {
            None
        }
    }

    pub(crate) fn is(&self, mark: char) -> bool {
        *self == Self::Mark(mark)
    }

    pub(crate) fn is_name(&self, name: &str) -> bool {
        self.name() == Some(name)
    }
}

/// A logical line: brackets and strings may span several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it begins: the number of its physical line, from 1.
    pub(crate) number: u32,
    pub(crate) indent: usize,
    pub(crate) tokens: Vec<Token>,
}

impl Line {
    pub(crate) fn first(&self) -> Option<&str> {
        self.tokens.first().and_then(Token::name)
    }
}

/// What a text is made of, and whether it ends where a statement may end.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) lines: Vec<Line>,
    /// Brackets and strings are closed, and no block is announced at the end.
    pub(crate) complete: bool,
}

/// Splits a text.
pub(crate) fn read(text: &str) -> Source {
    let mut reader = Reader {
        rest: text,
        lines: Vec::new(),
        line: Line::default(),
        depth: 0,
        fresh: true,
        count: 0,
        number: 1,
        open: false,
    };
    reader.run();
    let ends_block = reader
        .lines
        .last()
        .and_then(|line| line.tokens.last())
        .is_some_and(|token| token.is(':'));
    Source {
        complete: reader.depth == 0 && !reader.open && !ends_block,
        lines: reader.lines,
    }
}

struct Reader<'a> {
    rest: &'a str,
    lines: Vec<Line>,
    line: Line,
    depth: usize,
    /// At the beginning of a physical line that begins a logical one.
    fresh: bool,
    count: usize,
    /// Number of the physical line.
    number: u32,
    open: bool,
}

impl Reader<'_> {
    fn run(&mut self) {
        while let Some(c) = self.rest.chars().next() {
            if self.count > TOKENS {
                self.open = true;
                break;
            }
            if self.fresh {
                self.indent();
                continue;
            }
            match c {
                '\n' => {
                    self.skip(1);
                    if self.depth == 0 {
                        self.end_line();
                    }
                }
                '#' => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.skip(end);
                }
                '\\' if self.rest[1..].starts_with('\n') => self.skip(2),
                '\\' if self.rest[1..].starts_with("\r\n") => self.skip(3),
                '\'' | '"' => self.string(""),
                c if c.is_whitespace() => self.skip(c.len_utf8()),
                c if c.is_alphanumeric() || c == '_' => self.word(),
                c => {
                    match c {
                        '(' | '[' | '{' => self.depth += 1,
                        ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    self.skip(c.len_utf8());
                    self.push(Token::Mark(c));
                }
            }
        }
        self.end_line();
    }

    fn indent(&mut self) {
        let width = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.line.indent = self.rest[..width]
            .chars()
            .map(|c| if c == '\t' { 8 } else { 1 })
            .sum();
        self.skip(width);
        self.fresh = false;
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.tokens.is_empty() {
            self.lines.push(line);
        }
        self.fresh = true;
    }

    fn push(&mut self, token: Token) {
        self.count += 1;
        if self.line.tokens.is_empty() {
            self.line.number = self.number;
        }
        self.line.tokens.push(token);
    }

    fn skip(&mut self, bytes: usize) {
        let (gone, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        let lines = gone.bytes().filter(|byte| *byte == b'\n').count();
        self.number = self
            .number
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
    }

    fn word(&mut self) {
        let end = self
            .rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let prefix = word.len() <= 2 && word.chars().all(|c| "rbufRBUFtT".contains(c));
        if prefix && self.rest[end..].starts_with(['\'', '"']) {
            let prefix = word.to_ascii_lowercase();
            self.skip(end);
            self.string(&prefix);
        } else {
            let word = word.to_owned();
            self.skip(end);
            self.push(Token::Name(word));
        }
    }

    fn string(&mut self, prefix: &str) {
        let Some(quote) = self.rest.chars().next() else {
            return;
        };
        let triple: String = std::iter::repeat_n(quote, 3).collect();
        let long = self.rest.starts_with(&triple);
        self.skip(if long { 3 } else { 1 });
        let raw = prefix.contains('r');
        let mut value = String::new();
        let mut closed = false;
        while let Some(c) = self.rest.chars().next() {
            if c == '\\' {
                let next = self.rest[1..].chars().next();
                self.skip(1 + next.map_or(0, char::len_utf8));
                match next {
                    Some(next) if raw => value.extend(['\\', next]),
                    Some('n') => value.push('\n'),
                    Some('t') => value.push('\t'),
                    Some('\n') | None => {}
                    Some(next @ ('\\' | '\'' | '"')) => value.push(next),
                    Some(next) => value.extend(['\\', next]),
                }
                continue;
            }
            if long && self.rest.starts_with(&triple) {
                self.skip(3);
                closed = true;
                break;
            }
            if !long && c == quote {
                self.skip(1);
                closed = true;
                break;
            }
            if !long && c == '\n' {
                break;
            }
            value.push(c);
            self.skip(c.len_utf8());
        }
        self.open |= !closed;
        let plain = !prefix.contains(['f', 'b', 't']);
        self.push(Token::Text { value, plain });
    }
}

/// A literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    Text(String),
    List(Vec<Literal>),
    Map(Vec<(String, Literal)>),
    /// Not a literal that is read here.
    Other,
}

impl Literal {
    /// Its strings, when it is one string or a list of them.
    pub(crate) fn strings(&self) -> Vec<String> {
        match self {
            Self::Text(text) => text
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
            Self::List(list) => list.iter().flat_map(Self::strings).collect(),
            Self::Map(_) | Self::Other => Vec::new(),
        }
    }
}

/// Reads the literal at the beginning of `tokens`; `names` gives what plain names stand for. Returns it and what it
/// took, up to the next comma or closing bracket.
pub(crate) fn literal(
    tokens: &[Token],
    names: &dyn Fn(&str) -> Option<Literal>,
    depth: usize,
) -> (Literal, usize) {
    let end = argument_end(tokens);
    if depth > 12 {
        return (Literal::Other, end);
    }
    let value = match tokens.first() {
        Some(Token::Text { .. }) => {
            let mut text = String::new();
            let mut plain = true;
            for token in &tokens[..end] {
                match token {
                    Token::Text { value, plain: true } => text.push_str(value),
                    _ => plain = false,
                }
            }
            if plain {
                Literal::Text(text)
            } else {
                Literal::Other
            }
        }
        Some(Token::Mark(open @ ('[' | '(' | '{'))) if closing(tokens) == Some(end - 1) => {
            elements(&tokens[1..end - 1], *open == '{', names, depth)
        }
        Some(Token::Name(name)) if end == 1 => names(name).unwrap_or(Literal::Other),
        Some(Token::Name(name)) if name == "dict" && closing(&tokens[1..]) == Some(end - 2) => Literal::Map(
            keywords(&tokens[2..end - 1])
                .into_iter()
                .map(|(k, v)| (k, literal(v, names, depth + 1).0))
                .collect(),
        ),
        _ => Literal::Other,
    };
    (value, end)
}

fn elements(
    tokens: &[Token],
    braces: bool,
    names: &dyn Fn(&str) -> Option<Literal>,
    depth: usize,
) -> Literal {
    let (mut list, mut map, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let part = &tokens[at..at + argument_end(&tokens[at..])];
        let colon = if braces { top_level(part, ':') } else { None };
        if let Some(colon) = colon {
            if let Literal::Text(key) = literal(&part[..colon], names, depth + 1).0 {
                map.push((key, literal(&part[colon + 1..], names, depth + 1).0));
            }
        } else if !part.is_empty() {
            list.push(literal(part, names, depth + 1).0);
        }
        at += part.len() + 1;
    }
    if braces && !map.is_empty() {
        Literal::Map(map)
    } else {
        Literal::List(list)
    }
}

/// `name=value` arguments of a call, of the tokens between its brackets.
pub(crate) fn keywords(tokens: &[Token]) -> Vec<(String, &[Token])> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let part = &tokens[at..at + argument_end(&tokens[at..])];
        if let [Token::Name(name), equals, value @ ..] = part
            && equals.is('=')
            && !value.first().is_some_and(|token| token.is('='))
        {
            found.push((name.clone(), value));
        }
        at += part.len() + 1;
    }
    found
}

/// Where the argument that begins here ends: the next comma or closing bracket of the same depth.
pub(crate) fn argument_end(tokens: &[Token]) -> usize {
    top_level(tokens, ',').unwrap_or(tokens.len())
}

fn top_level(tokens: &[Token], mark: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark(c) if depth == 0 && *c == mark => return Some(at),
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Where the bracket that opens `tokens` is closed.
pub(crate) fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(' | '[' | '{') => depth += 1,
            Token::Mark(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at);
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_strings_and_literals_are_read() {
        let source = read("x = ['a', \"b\" 'c',  # note\n  r'\\d']\nif x:\n    y = f'{x}'\n");
        assert!(source.complete);
        assert_eq!(source.lines.len(), 3);
        assert_eq!(source.lines[2].indent, 4);
        let (value, _) = literal(&source.lines[0].tokens[2..], &|_| None, 0);
        assert_eq!(value.strings(), ["a", "bc", "\\d"]);
    }

    #[test]
    fn what_is_cut_off_is_not_complete_and_its_twin_is() {
        for text in ["doc = '''", "with a:", "f(1,", "'abc"] {
            assert!(!read(text).complete, "{text}");
        }
        for text in ["doc = ''''''", "with a: pass", "f(1,)", "'abc'", ""] {
            assert!(read(text).complete, "{text}");
        }
    }

    #[test]
    fn hostile_sources_end() {
        for text in [
            "((((((((",
            "\\",
            "'\\",
            "'''",
            "[[[[{{{{((((",
            "é'\u{0}",
            "f\"{",
            "\t\t\\\r\n",
        ] {
            let source = read(text);
            for line in &source.lines {
                let _ = literal(&line.tokens, &|_| None, 0);
                let _ = keywords(&line.tokens);
            }
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let _ = literal(&read(&deep).lines[0].tokens, &|_| None, 0);
    }
}
