/// Extended grapheme clusters over bytes.
enum Graphemes {
  /// Calls `body` with the range of each cluster of valid UTF-8. Two ASCII characters in a row need no table: only CR and LF join.
  static func forEach(in text: Bytes, _ body: (Range<Int>) -> Void) {
    var at = 0
    while at < text.count {
      let plainNext = at + 1 == text.count || text[at + 1] < 0x80
      if text[at] < 0x80, plainNext {
        let joins = text[at] == 13 && at + 1 < text.count && text[at + 1] == 10
        // A CR LF whose LF stands before something else still ends there: nothing joins a line feed.
        body(at..<at + (joins ? 2 : 1))
        at += joins ? 2 : 1
        continue
      }
      var end = at
      while end < text.count, !(text[end] < 0x80 && (end + 1 == text.count || text[end + 1] < 0x80)) { end += 1 }
      // The ASCII character that follows belongs in: some scalars join what comes after them. A CR is left to the rule above.
      if end < text.count, text[end] != 13 { end += 1 }
      for cluster in String(decoding: text[at..<end], as: UTF8.self) {
        let next = at + cluster.utf8.count
        body(at..<next)
        at = next
      }
    }
  }
}
