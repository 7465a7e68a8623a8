import SwiftletFormats
import Testing

@Suite struct JSONTests {
  @Test func objectsKeepTheirOrderAtEverySize() throws {
    for size in [0, 1, 8, 9, 10, 50] {
      var object = JSONObject((0..<size).map { ("k\($0)", .int($0)) })
      #expect(object.keys == (0..<size).map { "k\($0)" })
      for i in 0..<size { #expect(object["k\(i)"] == .int(i)) }
      #expect(object["k\(size)"] == nil)
      object["k0"] = .bool(true)
      object["new"] = .null
      #expect(object.keys.first == (size == 0 ? "new" : "k0") || size == 0)
      object["k3"] = nil
      #expect(object["k3"] == nil)
      if size > 4 { #expect(object["k4"] == .int(4) && object.keys[3] == "k4") }
    }
  }

  @Test func keysAreComparedByBytes() throws {
    let json = try JSON(parsing: "{\"\u{E9}\":1,\"e\u{301}\":2}")
    #expect(json["\u{E9}"] == .int(1))
    #expect(json["e\u{301}"] == .int(2))
    #expect(JSON.object(JSONObject([("\u{E9}", .null)])) != JSON.object(JSONObject([("e\u{301}", .null)])))
  }

  @Test func placesOfPaths() throws {
    let text = "{\"a\": [1, {\"b c\": \"x\"}],\n \"d\": {}}"
    func offset(_ parts: JSONPath.Part...) -> Int {
      Array(text.utf8).withUnsafeBytes { JSON.offset(of: JSONPath(parts), in: $0) }
    }
    #expect(offset() == 0)
    #expect(offset(.key("a")) == 6)
    #expect(offset(.key("a"), .index(0)) == 7)
    #expect(offset(.key("a"), .index(1), .key("b c")) == 18)
    #expect(offset(.key("d")) == 31)
    #expect(offset(.key("d"), .key("none")) == 31)
    #expect(offset(.key("a"), .index(9)) == 6)
    let path = JSONPath([.key("messages"), .index(2), .key("content")])
    #expect(path.quoted == "\"messages\"[2].content")
    #expect(path.description == "messages[2].content")
    #expect(try JSON(parsing: text)[at: JSONPath([.key("a"), .index(1), .key("b c")])] == .string("x"))
  }
}
