/// The tokens that have a meaning of their own.
public struct SpecialTokens: Hashable, Sendable {
  /// A token's text and id.
  public struct Token: Hashable, Sendable {
    /// The text.
    public let text: String
    /// The id; nil where the vocabulary does not have the token.
    public let id: Int?
  }

  /// Beginning of sequence.
  public internal(set) var bos: Token?
  /// End of sequence.
  public internal(set) var eos: Token?
  /// Padding.
  public internal(set) var pad: Token?
  /// Unknown.
  public internal(set) var unk: Token?
  /// Further tokens of the configuration: `additional_special_tokens`, `sep_token`, `cls_token`, `mask_token`.
  public internal(set) var additional: [Token] = []
  /// Ids of all tokens that `decode` skips when special tokens are to be skipped.
  public internal(set) var ids: Set<Int> = []
  /// The special tokens by their key in the configuration (`bos_token` …), as chat templates see them.
  public internal(set) var named: [String: String] = [:]

  /// Ids that end an answer: the end of sequence and what chat models write at the end of a turn, where the vocabulary has it.
  public internal(set) var stopCandidates: [Int] = []

  /// Texts that end a turn in the chat formats of today.
  static let turnEnds = [
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "</s>", "<|eot|>",
    "<|return|>", "<|call|>", "<|end_of_turn|>", "<|END_OF_TURN_TOKEN|>", "<eos>", "[EOS]", "<turn|>",
  ]
}
