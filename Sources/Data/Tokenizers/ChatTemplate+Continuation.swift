import SwiftletFormats

/// Rendering that leaves the last message open: a mark is put behind its text, and the rendering is cut where the mark comes out.
struct FinalMessageMark {
  /// The mark of transformers. Its last space tells whether the template keeps white space at the end of a message.
  private static let mark = "CONTINUE_FINAL_MESSAGE_TAG "
  /// The messages with the mark.
  let messages: JSON
  /// The text that the mark follows.
  private let text: String

  /// - Throws: `ChatTemplateError` where the last message has no text.
  init(_ messages: JSON) throws {
    guard var list = messages.array, var last = list.last?.object else {
      throw ChatTemplateError("continue_final_message is set but there is no message to continue")
    }
    switch last["content"] {
    case .string(let content):
      text = content
      last["content"] = .string(content + Self.mark)
    case .array(var parts):
      guard let index = parts.lastIndex(where: { $0["text"] != nil }), var part = parts[index].object, let content = part["text"]?.string
      else {
        throw ChatTemplateError("continue_final_message is set but we could not find any text to continue in the final message!")
      }
      text = content
      part["text"] = .string(content + Self.mark)
      parts[index] = .object(part)
      last["content"] = .array(parts)
    default: throw ChatTemplateError("continue_final_message is set but the final message has no \"content\" to continue!")
    }
    list[list.count - 1] = .object(last)
    self.messages = .array(list)
  }

  /// The rendering up to the mark.
  /// - Throws: `ChatTemplateError` where the mark or the message did not come out of the template.
  func cut(_ rendered: ChatTemplate.Rendered) throws -> ChatTemplate.Rendered {
    let bytes = Array(rendered.text.utf8)
    let mark = Array(Self.mark.utf8)
    guard ByteSearch.last(mark.dropLast(), in: bytes) != nil, ByteSearch.last(Self.stripped(Array(text.utf8))[...], in: bytes) != nil,
      let place = ByteSearch.last(mark.dropLast(), in: bytes)
    else {
      throw ChatTemplateError(
        "continue_final_message is set but the final message does not appear in the chat after applying the chat template! This can happen "
          + "if the chat template deletes portions of the final message. Please verify the chat template and final message in your chat to "
          + "ensure they are compatible.")
    }
    let keepsSpace = bytes[place...].starts(with: mark)
    let kept = keepsSpace ? Array(bytes[..<place]) : Self.stripped(Array(bytes[..<place]), left: false)
    let text = String(decoding: kept, as: UTF8.self)
    let length = text.unicodeScalars.count
    let spans = rendered.generationSpans.compactMap { span in
      span.lowerBound < length ? span.lowerBound..<min(span.upperBound, length) : nil
    }
    return ChatTemplate.Rendered(text: text, generationSpans: spans)
  }

  /// Python's `strip` (or `rstrip`).
  private static func stripped(_ bytes: [UInt8], left: Bool = true) -> [UInt8] {
    var scalars = Substring(String(decoding: bytes, as: UTF8.self)).unicodeScalars
    while left, let first = scalars.first, first.isPythonSpace { scalars.removeFirst() }
    while let last = scalars.last, last.isPythonSpace { scalars.removeLast() }
    return Array(String(scalars).utf8)
  }
}

private enum ByteSearch {
  /// The last place of `wanted`; the end of `bytes` where it is empty.
  static func last(_ wanted: ArraySlice<UInt8>, in bytes: [UInt8]) -> Int? {
    guard wanted.count <= bytes.count else { return nil }
    return stride(from: bytes.count - wanted.count, through: 0, by: -1).first { bytes[$0...].starts(with: wanted) }
  }
}
