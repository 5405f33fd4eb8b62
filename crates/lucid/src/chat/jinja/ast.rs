//! The tree of a template. Names are numbers: the index of the name in [`Program::names`].

use std::sync::Arc;

/// A parsed template.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) body: Vec<Stmt>,
    /// Every name that the template mentions, by symbol.
    pub(super) names: Vec<Arc<str>>,
    /// The names that mean something, where the template mentions them.
    pub(super) special: Special,
}

/// Names that the interpreter sets.
#[derive(Debug)]
pub(super) struct Special {
    pub(super) r#loop: Option<Symbol>,
    pub(super) caller: Option<Symbol>,
    pub(super) varargs: Option<Symbol>,
    pub(super) kwargs: Option<Symbol>,
}

/// A name.
pub(super) type Symbol = u32;

/// A statement, and the line it begins on.
#[derive(Debug)]
pub(super) struct Stmt {
    pub(super) line: u32,
    pub(super) kind: StmtKind,
}

/// What a statement does.
#[derive(Debug)]
pub(super) enum StmtKind {
    /// Text outside of tags.
    Data(String),
    /// `{{ … }}`
    Print(Expr),
    /// Conditions and their bodies in order, then what else.
    If {
        branches: Vec<(Expr, Vec<Stmt>)>,
        otherwise: Vec<Stmt>,
    },
    For(For),
    Set {
        target: Target,
        value: Expr,
    },
    /// `{% set x | filter %} … {% endset %}`: the filters take what the body prints.
    SetBlock {
        target: Target,
        filters: Vec<Filter>,
        body: Vec<Stmt>,
    },
    Macro(Macro),
    /// `{% call(args) f(…) %} … {% endcall %}`
    Call {
        caller: Macro,
        call: Expr,
    },
    /// `{% filter x %} … {% endfilter %}`
    FilterBlock {
        filters: Vec<Filter>,
        body: Vec<Stmt>,
    },
    With {
        variables: Vec<(Target, Expr)>,
        body: Vec<Stmt>,
    },
    /// A body in a scope of its own: `generation`, `block`.
    Scope(Vec<Stmt>),
    Break,
    Continue,
}

/// A loop.
#[derive(Debug)]
pub(super) struct For {
    pub(super) target: Target,
    pub(super) iter: Expr,
    /// `for … in … if …`
    pub(super) test: Option<Expr>,
    pub(super) recursive: bool,
    pub(super) body: Vec<Stmt>,
    /// What to do when there was nothing.
    pub(super) otherwise: Vec<Stmt>,
}

/// A macro, or the body of a call block.
#[derive(Debug)]
pub(super) struct Macro {
    pub(super) name: Symbol,
    pub(super) params: Vec<(Symbol, Option<Expr>)>,
    pub(super) body: Vec<Stmt>,
}

/// Where a value goes.
#[derive(Debug)]
pub(super) enum Target {
    Name(Symbol),
    /// `ns.attribute`
    Attribute(Symbol, Arc<str>),
    Tuple(Vec<Target>),
}

/// An expression.
#[derive(Debug)]
pub(super) enum Expr {
    None,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Arc<str>),
    Name(Symbol),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Map(Vec<(Expr, Expr)>),
    /// `x.name`
    Attribute(Box<Expr>, Arc<str>),
    /// `x[y]`
    Item(Box<(Expr, Expr)>),
    /// `x[from:to:step]`
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Args),
    Filter(Box<Expr>, Filter),
    /// `x is name(args)`
    Test(Box<Expr>, Filter),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// `a < b == c`: each with the next.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// `a + b - c`, from the left.
    Arithmetic(Box<Expr>, Vec<(Operation, Expr)>),
    /// `a ~ b ~ c`
    Concat(Vec<Expr>),
    /// Condition, value, and the value otherwise.
    Choice(Box<(Expr, Expr, Option<Expr>)>),
}

/// The name and arguments of a filter or a test.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) name: Arc<str>,
    pub(super) args: Args,
}

/// Arguments as they are written.
#[derive(Debug, Default)]
pub(super) struct Args {
    pub(super) positional: Vec<Expr>,
    pub(super) named: Vec<(Arc<str>, Expr)>,
    /// `*x`
    pub(super) list: Option<Box<Expr>>,
    /// `**x`
    pub(super) map: Option<Box<Expr>>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
}

/// An operation on two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

impl Operation {
    /// As it is written.
    pub(super) fn sign(self) -> &'static str {
        ["+", "-", "*", "/", "//", "%", "**"][self as usize]
    }
}
