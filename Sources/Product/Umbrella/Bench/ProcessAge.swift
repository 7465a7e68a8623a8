import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// How long this process has been running.
enum ProcessAge {
  /// Seconds since the system started the process, to 0.01 s; nil where the system does not say.
  static var seconds: Double? {
    #if os(Linux)
      guard let text = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8) else { return nil }
      guard let end = text.lastIndex(of: ")") else { return nil }
      // Behind the name, which may hold anything, come the fields from the third on; the 22nd is the start since boot, in clock ticks.
      let fields = text[text.index(after: end)...].split(separator: " ")
      guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
      var now = timespec()
      guard clock_gettime(CLOCK_BOOTTIME, &now) == 0 else { return nil }
      let age = Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9 - ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
      return age >= 0 ? age : nil
    #else
      return nil
    #endif
  }
}
