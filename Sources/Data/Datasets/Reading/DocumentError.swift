/// Why a file of plain text is no row.
struct DocumentError: Error {
  /// The byte that is at fault.
  let offset: Int
  /// What is wrong.
  let message: String

  /// The document as it stands in its file.
  /// - Throws: where it is not UTF-8, with the first wrong byte, or holds nothing but white space.
  static func text(_ bytes: [UInt8]) throws(DocumentError) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw DocumentError(offset: firstFault(bytes), message: "not UTF-8 text")
    }
    guard !text.unicodeScalars.allSatisfy(\.properties.isWhitespace) else {
      throw DocumentError(offset: 0, message: "the document is empty: nothing to train on")
    }
    return text
  }

  private static func firstFault(_ bytes: [UInt8]) -> Int {
    var parser = Unicode.UTF8.ForwardParser()
    var rest = bytes.makeIterator()
    var offset = 0
    while case .valid(let scalar) = parser.parseScalar(from: &rest) { offset += scalar.count }
    return offset
  }
}
