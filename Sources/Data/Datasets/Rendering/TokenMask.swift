/// From parts of a text to the tokens that write them.
package enum TokenMask {
  /// The tokens that touch each span, as ranges of token numbers. A token that straddles an edge belongs to the span, as with
  /// `apply_chat_template(return_assistant_tokens_mask=True)`; all tokens of a character that several tokens write belong together.
  ///
  /// Linear in tokens and spans.
  /// - Parameters:
  ///   - spans: in code points, ascending.
  ///   - offsets: where each token stands in the text; empty for tokens that stand for no text.
  package static func tokens(in spans: [Range<Int>], offsets: [Range<Int>]) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var at = 0
    for span in spans where !span.isEmpty {
      while at < offsets.count, offsets[at].isEmpty || offsets[at].upperBound <= span.lowerBound { at += 1 }
      var end = at
      var last = at
      while end < offsets.count, offsets[end].isEmpty || offsets[end].lowerBound < span.upperBound {
        end += 1
        if !offsets[end - 1].isEmpty { last = end }
      }
      if last > at { result.append(at..<last) }
      // The next span may start in the token that ends this one.
      at = max(at, last - 1)
    }
    return result
  }
}
