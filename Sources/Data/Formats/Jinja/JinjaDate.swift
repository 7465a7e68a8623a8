#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A local date and time, for `strftime_now`.
public struct JinjaDate: Hashable, Sendable {
  /// The year.
  public var year: Int
  /// The month, from 1.
  public var month: Int
  /// The day of the month, from 1.
  public var day: Int
  /// The hour, from 0.
  public var hour: Int
  /// The minute, from 0.
  public var minute: Int
  /// The second, from 0.
  public var second: Int
  /// Millionths of a second.
  public var microsecond: Int

  /// A date; nil where its parts do not exist in the calendar.
  public init?(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0, microsecond: Int = 0) {
    guard (1...9999).contains(year), (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day),
      (0..<24).contains(hour), (0..<60).contains(minute), (0..<60).contains(second), (0..<1_000_000).contains(microsecond)
    else { return nil }
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
    self.microsecond = microsecond
  }

  /// Reads `2025-03-14`, with or without `T09:26`, `T09:26:53` and a fraction of a second; a zone (`Z`, `+01:00`) is left out of account.
  public init?(iso text: String) {
    let halves = text.split(whereSeparator: { $0 == "T" || $0 == " " })
    let date = halves.first?.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) } ?? []
    guard halves.count <= 2, date.count == 3, let year = date[0], let month = date[1], let day = date[2] else { return nil }
    let time = halves.count > 1 ? halves[1].prefix { $0.isNumber || $0 == ":" || $0 == "." } : ""
    let parts = time.split(separator: ":", omittingEmptySubsequences: false)
    let seconds = parts.count > 2 ? parts[2].split(separator: ".") : []
    let fraction = seconds.count > 1 ? (seconds[1] + "000000").prefix(6) : "0"
    let hour = parts.isEmpty ? 0 : Int(parts[0])
    let minute = parts.count > 1 ? Int(parts[1]) : 0
    let second = seconds.isEmpty ? 0 : Int(seconds[0])
    guard let hour, let minute, let second, let microsecond = Int(fraction) else { return nil }
    self.init(year: year, month: month, day: day, hour: hour, minute: minute, second: second, microsecond: microsecond)
  }

  /// The machine's clock and zone.
  public static var current: JinjaDate {
    var now = time_t(time(nil))
    var parts = tm()
    localtime_r(&now, &parts)
    let date = JinjaDate(
      year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday), hour: Int(parts.tm_hour),
      minute: Int(parts.tm_min), second: min(Int(parts.tm_sec), 59))
    return date ?? JinjaDate(epochYear: 1970)
  }

  private init(epochYear: Int) { (year, month, day, hour, minute, second, microsecond) = (epochYear, 1, 1, 0, 0, 0, 0) }

  private static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

  private static func days(in month: Int, of year: Int) -> Int {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days since the year began, from 0.
  var dayOfYear: Int { (1..<month).reduce(day - 1) { $0 + Self.days(in: $1, of: year) } }

  /// 0 is Sunday.
  var weekday: Int {
    let before = year - 1
    return (before * 365 + before / 4 - before / 100 + before / 400 + dayOfYear + 1) % 7
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
  ]
  private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

  /// Python's `strftime` in the C locale, with the flags `-`, `_`, `0`, `^` and `#` of the C library; unknown directives stay as they are.
  func formatted(_ format: String) -> String {
    var out = ""
    var rest = Substring(format)
    while let percent = rest.unicodeScalars.firstIndex(of: "%") {
      out += rest[..<percent]
      rest = rest[rest.unicodeScalars.index(after: percent)...]
      let flag = rest.unicodeScalars.first.flatMap { "-_0^#".unicodeScalars.contains($0) ? $0 : nil }
      let directive = flag == nil ? rest : Substring(rest.unicodeScalars.dropFirst())
      guard let letter = directive.unicodeScalars.first else {
        out += "%" + rest
        return out
      }
      out += field(letter, flag) ?? "%" + (flag.map { String($0) } ?? "") + String(letter)
      rest = Substring(directive.unicodeScalars.dropFirst())
    }
    return out + rest
  }

  private func field(_ letter: Unicode.Scalar, _ flag: Unicode.Scalar?) -> String? {
    if let (value, width, padding) = number(letter) {
      let fill = flag == "_" ? " " : flag == "0" ? "0" : padding
      let digits = String(value)
      return flag == "-" ? digits : String(repeating: fill, count: max(0, width - digits.utf8.count)) + digits
    }
    guard let text = name(letter) else { return nil }
    return flag == "^" ? text.uppercased() : flag == "#" ? (letter == "p" ? text.lowercased() : text.uppercased()) : text
  }

  private func number(_ letter: Unicode.Scalar) -> (value: Int, width: Int, fill: String)? {
    switch letter {
    case "Y": (year, 1, "0")
    case "C": (year / 100, 2, "0")
    case "y": (year % 100, 2, "0")
    case "m": (month, 2, "0")
    case "d": (day, 2, "0")
    case "e": (day, 2, " ")
    case "H": (hour, 2, "0")
    case "k": (hour, 2, " ")
    case "I": ((hour + 11) % 12 + 1, 2, "0")
    case "l": ((hour + 11) % 12 + 1, 2, " ")
    case "M": (minute, 2, "0")
    case "S": (second, 2, "0")
    case "f": (microsecond, 6, "0")
    case "j": (dayOfYear + 1, 3, "0")
    case "w": (weekday, 1, "0")
    case "u": (weekday == 0 ? 7 : weekday, 1, "0")
    case "U": ((dayOfYear + 7 - weekday) / 7, 2, "0")
    case "W": ((dayOfYear + 7 - (weekday + 6) % 7) / 7, 2, "0")
    case "V": (isoWeek.week, 2, "0")
    case "G": (isoWeek.year, 1, "0")
    case "g": (isoWeek.year % 100, 2, "0")
    default: nil
    }
  }

  private func name(_ letter: Unicode.Scalar) -> String? {
    switch letter {
    case "B": Self.months[month - 1]
    case "b", "h": String(Self.months[month - 1].prefix(3))
    case "A": Self.weekdays[weekday]
    case "a": String(Self.weekdays[weekday].prefix(3))
    case "p": hour < 12 ? "AM" : "PM"
    case "P": hour < 12 ? "am" : "pm"
    case "c": formatted("%a %b %e %H:%M:%S %Y")
    case "x", "D": formatted("%m/%d/%y")
    case "X", "T": formatted("%H:%M:%S")
    case "F": formatted("%Y-%m-%d")
    case "R": formatted("%H:%M")
    case "r": formatted("%I:%M:%S %p")
    case "n": "\n"
    case "t": "\t"
    case "z", "Z": ""
    case "%": "%"
    default: nil
    }
  }

  /// The week that ISO 8601 counts: week 1 has the year's first Thursday.
  private var isoWeek: (year: Int, week: Int) {
    let fromMonday = (weekday + 6) % 7
    let week = (dayOfYear - fromMonday + 10) / 7
    if week < 1 { return (year - 1, Self.weeks(in: year - 1)) }
    return week > Self.weeks(in: year) ? (year + 1, 1) : (year, week)
  }

  private static func weeks(in year: Int) -> Int {
    let first = JinjaDate(year: max(year, 1), month: 1, day: 1)?.weekday ?? 0
    return first == 4 || first == 3 && isLeap(year) ? 53 : 52
  }
}
