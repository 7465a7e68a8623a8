import SwiftletFormats
import Testing

@Suite struct HostileJSONTests {
  @Test func documentsAreRefused() {
    let cases: [(String, String)] = [
      ("", "1:1: the document ends"), (" \n", "2:1: the document ends"), ("nul", "ends inside a word"), ("nulL", "'null' is wanted"),
      ("True", "found 'T'"),
      ("NaN", "found 'N'"), ("Infinity", "found 'I'"), ("-Infinity", "1:2: a digit is wanted"), ("+1", "found '+'"), (".5", "found '.'"),
      ("1.", "1:3: a digit"),
      ("01", "leading zero"), ("-01", "leading zero"), ("1e", "a digit is wanted"), ("1e+", "a digit is wanted"), ("1e400", "out of range"),
      ("-1e400", "out of range"),
      ("0x10", "after the end"), ("1_000", "after the end"), ("[1,]", "1:4: a value is wanted"), ("[,1]", "1:2: a value is wanted"),
      ("[1 2]", "',' or ']'"),
      ("[1", "',' or ']'"), ("{\"a\":1,}", "1:8: a key in quotation marks"), ("{a:1}", "1:2: a key in quotation marks"),
      ("{'a':1}", "a key in quotation marks"),
      ("{\"a\" 1}", "1:6: ':' is wanted after the key \"a\""), ("{\"a\":1 \"b\":2}", "',' or '}'"),
      ("{\"a\":1,\"a\":2}", "1:8: the key \"a\" stands twice"),
      ("{\"a\":1,\"\\u0061\":2}", "stands twice"), ("\"a", "1:1: a string without an end"), ("\"a\\", "without an end"),
      ("\"\\x\"", "1:2: an unknown escape"),
      ("\"\\u12\"", "four hexadecimal digits"), ("\"\\u12G4\"", "four hexadecimal digits"),
      ("\"\\ud800\"", "1:2: half of a surrogate pair"),
      ("\"\\udc00\"", "half of a surrogate"), ("\"\\ud800\\u0041\"", "half of a surrogate"), ("\"\\ud83d\\u00e9\"", "half of a surrogate"),
      ("\"\\ud83d\\ud83d\"", "half of a surrogate"), ("\"a\nb\"", "control character"), ("\"a\tb\"", "control character"),
      ("\"\u{0}\"", "control character"),
      ("1 1", "1:3: text after the end"), ("{}]", "text after the end"), ("\u{FEFF}{}", "found byte 0xef"), ("// c\n1", "found '/'"),
      ("[1] // c", "text after"),
      ("{\"a\":\n  [1,\n   x]}", "3:4: a value is wanted, found 'x'"), (String(repeating: "[", count: 513), "nesting deeper than 512"),
      (String(repeating: "{\"a\":", count: 100_000), "nesting deeper than 512"), ("{\"a\":undefined}", "found 'u'"),
    ]
    for (text, part) in cases {
      let found = message { try JSON(parsing: text) } ?? "accepted"
      #expect(found.contains(part), "\(text.prefix(60)): \(found)")
    }
    let bytes: [([UInt8], String)] = [
      ([0x22, 0xFF, 0x22], "not UTF-8"), ([0x22, 0xC0, 0xAF, 0x22], "not UTF-8"), ([0x22, 0xED, 0xA0, 0x80, 0x22], "not UTF-8"),
      ([0x22, 0xF4, 0x90, 0x80, 0x80, 0x22], "not UTF-8"), ([0xFF, 0xFE, 0x7B, 0], "0xff"), ([0], "byte 0x0"),
      ([0x7B, 0x22, 0xC3, 0x22, 0x3A, 0x31, 0x7D], "not UTF-8"),
    ]
    for (text, part) in bytes { #expect(message { try JSON(parsing: text) }?.contains(part) == true, "\(text)") }
  }

  @Test func whatIsAllowed() throws {
    let cases: [(String, JSON)] = [
      ("-0", .int(0)), ("-0.0", .number(-0.0)), ("1e2", .number(100)), ("1E-2", .number(0.01)), ("9223372036854775807", .int(.max)),
      ("9223372036854775808", .number(9_223_372_036_854_775_808)), ("-9223372036854775808", .int(.min)), ("\"\\u0000\"", .string("\0")),
      ("\"\\ud83d\\ude00\"", .string("😀")), (" [ ] ", .array([])), ("\"\u{7F}\u{2028}\"", .string("\u{7F}\u{2028}")),
      ("1e-999", .number(0)),
      (
        String(repeating: "[", count: 512) + String(repeating: "]", count: 512),
        try JSON(parsing: String(repeating: "[", count: 512) + String(repeating: "]", count: 512))
      ),
    ]
    for (text, value) in cases { #expect(try JSON(parsing: text) == value, "\(text.prefix(60))") }
  }
}
