//! Which format a tensor gets: the rules of llama-quantize, as tables.
//!
//! Not all matrices suffer alike. The value projection and the second matrix of the feed-forward lose most, the first
//! and last layers more than the middle, and the output matrix decides every token; a *mix* spends bits there and saves
//! them elsewhere. The rules were found by trial by the authors of those formats, years of files were written by them, and
//! people compare sizes and perplexities by their names. So Lucid follows them to the tensor, oddities included, and a test
//! compares thousands of choices with a listing of llama-quantize's.
//!
//! The order of decisions for one tensor:
//!
//! 1. [`untouched`]: vectors, norms, routers and other small things keep the type they have.
//! 2. A type the user names (in `plan`).
//! 3. [`RULES`]: the first rule that matches. None: the mix's base format.
//! 4. [`fallback`]: if the rows are no whole number of blocks, a format of smaller blocks.

use lucid_kernels::formats::Format;

use super::{Mix, Model};

/// What a tensor does in the model, as far as the rules care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `token_embd`: a table of rows, one read per token.
    Embedding,
    /// `output`: the logits.
    Output,
    /// `attn_v`, and the fused matrices that contain it.
    Value,
    /// `attn_k`.
    Key,
    /// `attn_output`.
    AttnOutput,
    /// `ffn_up` and `ffn_gate`, dense or of experts.
    Widen,
    /// `ffn_down`, dense or of experts.
    Down,
    /// Everything else.
    Other,
}

impl Role {
    /// The role of the tensor of this name.
    pub(super) fn of(name: &str) -> Role {
        const CONTAINED: &[(&str, Role)] = &[
            ("attn_qkv.weight", Role::Value),
            ("attn_kv_b.weight", Role::Value),
            ("attn_v.weight", Role::Value),
            ("attn_k.weight", Role::Key),
            ("attn_output.weight", Role::AttnOutput),
            ("ffn_up", Role::Widen),
            ("ffn_gate", Role::Widen),
            ("ffn_down", Role::Down),
        ];
        match name {
            "output.weight" => Role::Output,
            "token_embd.weight" | "per_layer_token_embd.weight" => Role::Embedding,
            _ => CONTAINED.iter().find(|(part, _)| name.contains(part)).map_or(Role::Other, |&(_, role)| role),
        }
    }
}

/// Parts of names whose tensors keep their type: they are small, and what they decide is not.
const UNTOUCHED: &[(&str, &str)] = &[
    ("_norm.weight", "norm"),
    ("ffn_gate_inp.weight", "router"),
    ("ffn_gate_tid2eid.weight", "expert table"),
    ("altup", "small"),
    ("laurel", "small"),
    ("per_layer_model_proj", "small"),
    ("ssm_conv1d", "short convolution"),
    ("shortconv.conv.weight", "short convolution"),
    ("indexer.k_proj.weight", "indexer"),
    ("indexer.q_proj.weight", "indexer"),
    ("time_mix_first.weight", "time mix"),
    ("time_mix_w0.weight", "time mix"),
    ("time_mix_w1.weight", "time mix"),
    ("time_mix_w2.weight", "time mix"),
    ("time_mix_v0.weight", "time mix"),
    ("time_mix_v1.weight", "time mix"),
    ("time_mix_v2.weight", "time mix"),
    ("time_mix_a0.weight", "time mix"),
    ("time_mix_a1.weight", "time mix"),
    ("time_mix_a2.weight", "time mix"),
    ("time_mix_g1.weight", "time mix"),
    ("time_mix_g2.weight", "time mix"),
    ("time_mix_decay_w1.weight", "time mix"),
    ("time_mix_decay_w2.weight", "time mix"),
    ("time_mix_lerp_fused.weight", "time mix"),
    ("attn_rel_b.weight", "positions"),
    (".position_embd", "positions"),
    ("sam.pos_embd", "positions"),
    ("sam.neck.", "vision"),
    ("sam.net_", "vision"),
    (".rel_pos", "positions"),
    (".patch_embd", "vision"),
    (".patch_merger", "vision"),
    ("a.rvq.codebook", "codebook"),
    ("mm.a.code_embd", "codebook"),
];

/// More of them in one architecture, whose latent attention and indexer are kept whole.
const UNTOUCHED_GLM5_NEXT: &[&str] = &[
    "hc_",
    "indexer.attn_q_b",
    "indexer.attn_k",
    "indexer.proj",
    "indexer_compressor_gate",
    "indexer_compressor_ape",
    "ssm_f_a.weight",
    "ssm_f_b.weight",
    "ssm_g_a.weight",
    "ssm_g_b.weight",
    "ssm_beta.weight",
    "attn_kv_a_mqa.weight",
    "attn_k_b.weight",
    "attn_v_b.weight",
];

/// Why this tensor keeps its type whatever the mix; `None` when it is to be quantised. `shape` is outermost first.
pub(super) fn untouched(arch: &str, name: &str, shape: &[usize]) -> Option<&'static str> {
    // Trailing ones do not count: a tensor of one row is a vector.
    if shape.len() < 2 || shape[..shape.len() - 1].iter().all(|&d| d == 1) {
        return Some("vector");
    }
    if !name.ends_with("weight") {
        return Some("no weight");
    }
    if matches!(name, "position_embd.weight" | "token_types.weight") {
        return Some("positions");
    }
    if arch == "glm5-next" && UNTOUCHED_GLM5_NEXT.iter().any(|part| name.contains(part)) {
        return Some("small");
    }
    UNTOUCHED.iter().find(|(part, _)| name.contains(part)).map(|&(_, why)| why)
}

/// What a rule may ask about.
pub(super) struct Question<'a> {
    pub(super) model: &'a Model,
    pub(super) mix: Mix,
    pub(super) name: &'a str,
    pub(super) role: Role,
    /// Values in a row.
    pub(super) row: usize,
    /// Whether several matrices are stacked in the tensor, as those of experts are.
    pub(super) stacked: bool,
    /// Whether `token_embd` is also the output matrix.
    pub(super) tied: bool,
    /// Whether there is an importance matrix.
    pub(super) importance: bool,
    /// How many tensors of this role came before, or the layer it belongs to.
    pub(super) index: usize,
    /// How many of this role there are.
    pub(super) count: usize,
}

/// A condition of a rule.
#[derive(Clone, Copy)]
enum When {
    /// The architecture.
    Arch(&'static str),
    /// Any other architecture.
    NotArch(&'static str),
    /// The name contains one of these.
    Named(&'static [&'static str]),
    /// Four or more query heads share a key and value: the shared matrices are small and matter more.
    SharedHeads,
    /// Eight experts, as Mixtral: attention is a small part of such a model.
    Eight,
    /// Any other number of experts.
    NotEight,
    /// The classes of 70 billion parameters whose value matrices are small.
    Class70B,
    /// Among the first so many of its role.
    First(usize),
    /// Among the first 1/n of its role.
    FirstPart(usize),
    /// In the first or last eighth, or every third between.
    MoreBits,
    /// With an importance matrix.
    Importance,
    /// Without.
    NoImportance,
    /// Several matrices in one tensor.
    Stacked,
    /// The rows are no whole number of the base format's blocks.
    OddRows,
    /// The embedding is the output too, or it is the output itself.
    IsOutput,
}

impl When {
    fn holds(self, q: &Question) -> bool {
        match self {
            When::Arch(arch) => q.model.arch == arch,
            When::NotArch(arch) => q.model.arch != arch,
            When::Named(parts) => parts.iter().any(|part| q.name.contains(part)),
            When::SharedHeads => q.model.queries_per_key() >= 4,
            When::Eight => q.model.experts == 8,
            When::NotEight => q.model.experts != 8,
            When::Class70B => q.model.is_class_70b(),
            When::First(n) => q.index < n,
            When::FirstPart(n) => q.index < q.count / n,
            When::MoreBits => {
                let eighth = q.count / 8;
                q.index < eighth || q.index >= 7 * q.count / 8 || (q.index - eighth) % 3 == 2
            }
            When::Importance => q.importance,
            When::NoImportance => !q.importance,
            When::Stacked => q.stacked,
            When::OddRows => !q.row.is_multiple_of(q.mix.base().block_len()),
            When::IsOutput => q.role == Role::Output || q.tied,
        }
    }
}

/// One line of the table: which roles, in which mixes, when, gets what, and the reason in a few words. No roles or no mixes
/// listed means all of them.
struct Rule {
    roles: &'static [Role],
    mixes: &'static [Mix],
    when: &'static [When],
    gives: Format,
    why: &'static str,
}

impl Rule {
    fn matches(&self, q: &Question) -> bool {
        (self.roles.is_empty() || self.roles.contains(&q.role))
            && (self.mixes.is_empty() || self.mixes.contains(&q.mix))
            && self.when.iter().all(|w| w.holds(q))
    }
}

macro_rules! rules {
    ($([$($role:ident)*] [$($mix:ident)*] [$($when:expr),*] => $gives:ident, $why:literal;)*) => {
        &[$(Rule {
            roles: &[$(Role::$role),*],
            mixes: &[$(Mix::$mix),*],
            when: &[$($when),*],
            gives: Format::$gives,
            why: $why,
        }),*]
    };
}

/// The rules, first match first.
const RULES: &[Rule] = {
    use When::*;
    const FALCON: When = Arch("falcon");
    const NOT_FALCON: When = NotArch("falcon");
    const LATENT: When = Named(&["attn_q_a", "attn_q_b", "nextn.eh_proj"]);
    rules! {
        [] [] [Arch("glm5-next"), LATENT] => Q8_0, "latent attention";

        // The output matrix, which the embedding is too when the model has only one.
        [Output Embedding] [MXFP4_MOE] [IsOutput]          => Q8_0, "logits";
        [Output Embedding] []          [IsOutput, FALCON]  => Q8_0, "logits";
        [Output Embedding] []          [IsOutput, OddRows] => Q8_0, "logits, odd rows";
        [Output Embedding] [Q8_0]      [IsOutput]          => Q8_0, "logits";
        [Output Embedding] []          [IsOutput]          => Q6_K, "logits";

        // Four-bit floats are for experts alone. One architecture stacks other matrices too.
        [Widen Down] [MXFP4_MOE] [Stacked]                         => MXFP4, "experts";
        []           [MXFP4_MOE] [Stacked, NotArch("bailingmoe3")] => MXFP4, "experts";
        []           [MXFP4_MOE] []                                => Q8_0, "no expert";

        [Embedding] [TQ1_0 TQ2_0] [] => Q4_K, "embeddings are not ternary";

        [Value] []                                   [Eight]                 => Q8_0, "attention beside 8 experts";
        [Value] [Q4_K_M Q5_K_M]                      [MoreBits]              => Q6_K, "values: ends and every third";
        [Value] [Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M]   [Class70B]              => Q5_K, "values shared by 8 heads";
        [Value] [Q2_K_S]                             [Class70B, SharedHeads] => Q5_K, "values shared by 8 heads";
        [Value] [Q2_K Q2_K_S]                        [SharedHeads]           => Q4_K, "values shared by heads";
        [Value] [Q2_K]                               []                      => Q3_K, "values";
        [Value] [Q3_K_M]                             [First(2)]              => Q5_K, "values: first two";
        [Value] [Q3_K_M]                             []                      => Q4_K, "values";
        [Value] [Q3_K_L]                             []                      => Q5_K, "values";
        [Value] [IQ4_NL IQ4_XS]                      [SharedHeads]           => Q5_K, "values shared by heads";
        [Value] [Q4_K_S]                             [First(4)]              => Q5_K, "values: first four";

        [Key] [] [Eight] => Q8_0, "attention beside 8 experts";

        [Down] [Q2_K]          []                           => Q3_K, "ffn_down";
        [Down] [Q2_K_S]        [FirstPart(8)]               => Q4_K, "ffn_down: first eighth";
        [Down] [Q3_K_M]        [FirstPart(16)]              => Q5_K, "ffn_down: first sixteenth";
        [Down] [Q3_K_M]        [NOT_FALCON]                 => Q4_K, "ffn_down";
        [Down] [Q3_K_M]        [MoreBits]                   => Q4_K, "ffn_down: ends and every third";
        [Down] [Q3_K_L]        [FALCON]                     => Q4_K, "ffn_down";
        [Down] [Q3_K_L]        []                           => Q5_K, "ffn_down";
        [Down] [Q4_K_M]        [FALCON, FirstPart(16)]      => Q6_K, "ffn_down: first sixteenth";
        [Down] [Q4_K_M]        [FALCON, MoreBits]           => Q5_K, "ffn_down: ends and every third";
        [Down] [Q4_K_M]        [NOT_FALCON, MoreBits]       => Q6_K, "ffn_down: ends and every third";
        [Down] [Q5_K_M]        [MoreBits]                   => Q6_K, "ffn_down: ends and every third";
        [Down] [Q4_K_S]        [NOT_FALCON, FirstPart(8)]   => Q5_K, "ffn_down: first eighth";
        [Down] [IQ4_NL IQ4_XS] [NoImportance, FirstPart(8)] => Q5_K, "ffn_down: first eighth";
        // An importance matrix can starve the outliers of the first layers; without one the plain formats stay plain.
        [Down] [Q4_0]          [Importance, FirstPart(8)]   => Q4_1, "ffn_down: first eighth";
        [Down] [Q5_0]          [Importance, FirstPart(8)]   => Q5_1, "ffn_down: first eighth";

        [AttnOutput] [Q3_K_L] [FALCON]               => Q4_K, "attention output";
        [AttnOutput] [Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M IQ4_NL IQ4_XS] [NOT_FALCON, Eight] => Q5_K, "attention beside 8 experts";
        [AttnOutput] [Q2_K]   [NOT_FALCON, NotEight] => Q3_K, "attention output";
        [AttnOutput] [Q3_K_M] [NOT_FALCON, NotEight] => Q4_K, "attention output";
        [AttnOutput] [Q3_K_L] [NOT_FALCON, NotEight] => Q5_K, "attention output";
    }
};

/// The format that the mix gives, and why: the first rule that matches, else the base format.
pub(super) fn choose(q: &Question) -> (Format, &'static str) {
    RULES.iter().find(|r| r.matches(q)).map_or((q.mix.base(), ""), |r| (r.gives, r.why))
}

/// The format to use instead of `format` for rows of `row` values; `None` when they are whole blocks of it.
///
/// A format of 256 values to the block gives way to one of 32 with as many bits or more, that to F16.
pub(super) fn fallback(format: Format, row: usize) -> Option<Format> {
    let fits = |f: Format| row.is_multiple_of(f.block_len());
    if fits(format) {
        return None;
    }
    let smaller = match format {
        Format::Q2_K | Format::Q3_K | Format::TQ1_0 | Format::TQ2_0 => Format::Q4_0,
        Format::Q4_K => Format::Q5_0,
        Format::Q5_K => Format::Q5_1,
        Format::Q6_K => Format::Q8_0,
        Format::IQ4_XS => Format::IQ4_NL,
        other => other,
    };
    Some(if fits(smaller) { smaller } else { Format::F16 })
}
