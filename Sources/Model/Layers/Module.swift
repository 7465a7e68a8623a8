/// A part of a model that owns parameters, found by its path in Hugging Face files.
public protocol Module: AnyObject {
  /// `model.layers.0.self_attn.q_proj`.
  var path: String { get }
  /// The parameters it owns or, where tied, shares.
  var parameters: [Parameter] { get }
  /// Puts `new` in the place of `old`, for PEFT's `modules_to_save`.
  func replace(_ old: Parameter, with new: Parameter)
}
