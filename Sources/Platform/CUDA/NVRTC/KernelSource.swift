import CPlatform

/// `-Dname=value` for the compiler.
///
/// NVRTC puts its own header before the source, and that has `template <typename T>`: a macro `T` must have an identifier that is no keyword
/// for its value, so "float32" and not "float".
public struct KernelDefine: Hashable, Sendable {
  /// The macro.
  public let name: StaticString
  /// The value as the compiler reads it.
  public var value: String { text ?? String(number) }
  private let number: Int
  private let text: String?

  /// A name such as a dtype's.
  public init(_ name: StaticString, _ value: String) { (self.name, number, text) = (name, 0, value) }
  /// A number.
  public init(_ name: StaticString, _ value: Int) { (self.name, number, text) = (name, value, nil) }

  /// "-DT=bf16".
  var option: String { "-D\(name)=\(value)" }

  // The name by its address: one literal in two places is found twice and compiled once.
  /// Same place of the name's literal, same value.
  public static func == (a: Self, b: Self) -> Bool {
    a.name.identity == b.name.identity && a.number == b.number && a.text == b.text
  }
  /// The name's address and the value.
  public func hash(into hasher: inout Hasher) {
    hasher.combine(name.identity)
    hasher.combine(number)
    hasher.combine(text)
  }

  /// A cheap hash: equal for equal defines, not much more.
  @inline(__always) var quickHash: UInt {
    var hash = name.identity &* 0x9e37_79b9_7f4a_7c15 ^ UInt(bitPattern: number)
    if let text {
      for byte in text.utf8 { hash = (hash ^ UInt(byte)) &* 0x100_0000_01b3 }
    }
    return hash
  }
}

extension StaticString {
  /// The address of the literal.
  @inline(__always) var identity: UInt {
    hasPointerRepresentation ? UInt(bitPattern: utf8Start) : UInt(unicodeScalar.value)
  }
}

/// CUDA source in the program, with the headers that it may include.
public struct KernelSource: @unchecked Sendable {
  /// The file's name, for messages.
  public let name: StaticString
  /// The text, in memory that stays.
  public let text: UnsafeRawBufferPointer
  /// What `#include "name"` finds.
  public let headers: [(name: String, text: UnsafeRawBufferPointer)]

  /// A source of static life.
  public init(name: StaticString, text: UnsafeRawBufferPointer, headers: [(name: String, text: UnsafeRawBufferPointer)]) {
    (self.name, self.text, self.headers) = (name, text, headers)
  }

  /// The headers whose quoted names the source, or a header so found, mentions: no other one can have part in what is compiled.
  var usedHeaders: [(name: String, text: UnsafeRawBufferPointer)] {
    var used = Set<String>()
    var texts = [text]
    while let text = texts.popLast() {
      for header in headers where !used.contains(header.name) && swiftlet_mentions(text.baseAddress, text.count, "\"\(header.name)\"") {
        used.insert(header.name)
        texts.append(header.text)
      }
    }
    return headers.filter { used.contains($0.name) }
  }
}
