import SwiftletFormats

/// How llama.cpp calls a way to cut text into words before byte-level BPE (`tokenizer.ggml.pre`).
struct GGUFPreTokenizer: Sendable {
  /// Names that mean the same; the first is the one written.
  let names: [String]
  /// The pattern of words; nil for GPT-2's own.
  let pattern: String?
  /// Whether each digit is a word.
  var splitsDigits = false
  /// Whether a word that is a token needs no merges.
  var ignoresMerges = false
  /// Whether text is brought into normal form C before.
  var composes = false

  private static let contractions = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"#
  private static let rest = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  static let all = [
    GGUFPreTokenizer(
      names: ["llama-bpe", "llama3", "llama-v3", "smaug-bpe"], pattern: contractions + #"\p{N}{1,3}"# + rest, ignoresMerges: true),
    GGUFPreTokenizer(names: ["glm4", "chatglm-bpe", "dbrx"], pattern: contractions + #"\p{N}{1,3}"# + rest),
    GGUFPreTokenizer(names: ["qwen2", "deepseek-r1-qwen"], pattern: contractions + #"\p{N}"# + rest, composes: true),
    GGUFPreTokenizer(names: ["gpt-2", "gpt2", "olmo", "phi-2"], pattern: nil),
    GGUFPreTokenizer(names: ["refact", "command-r", "smollm", "starcoder"], pattern: nil, splitsDigits: true),
  ]

  /// The `normalizer` of a `tokenizer.json`.
  var normalizer: JSON { composes ? .object(JSONObject([("type", .string("NFC"))])) : .null }

  /// The `pre_tokenizer` of a `tokenizer.json`.
  var json: JSON {
    let bytes = Self.byteLevel(usesRegex: pattern == nil)
    var steps: [JSON] = []
    if splitsDigits { steps.append(.object(JSONObject([("type", .string("Digits")), ("individual_digits", .bool(true))]))) }
    if let pattern {
      steps.append(
        .object(
          JSONObject([
            ("type", .string("Split")), ("pattern", .object(JSONObject([("Regex", .string(pattern))]))), ("behavior", .string("Isolated")),
            ("invert", .bool(false)),
          ])))
    }
    return .object(JSONObject([("type", .string("Sequence")), ("pretokenizers", .array(steps + [bytes]))]))
  }

  /// Bytes as letters, in the form that pre-tokenizers and decoders share.
  static func byteLevel(usesRegex: Bool) -> JSON {
    .object(
      JSONObject([
        ("type", .string("ByteLevel")), ("add_prefix_space", .bool(false)), ("trim_offsets", .bool(true)), ("use_regex", .bool(usesRegex)),
      ]))
  }
}
