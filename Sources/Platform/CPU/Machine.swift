import CPlatform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What the system says about memory, in bytes; 0 where it does not say.
public enum ProcessMemory {
  /// Memory of this process that is in RAM now.
  public static var residentBytes: Int { field("VmRSS:", of: "/proc/self/status") }
  /// The most that was in RAM since the process began.
  public static var peakResidentBytes: Int { field("VmHWM:", of: "/proc/self/status") }

  /// RAM that this process may use: the machine's, or the limit of its control group where that is less.
  public static var totalBytes: Int {
    let machine = field("MemTotal:", of: "/proc/meminfo")
    return groupLimit.map { min($0, machine) } ?? machine
  }

  /// RAM that can be had without swapping.
  public static var availableBytes: Int {
    let machine = field("MemAvailable:", of: "/proc/meminfo")
    guard let limit = groupLimit, let used = number(in: "/sys/fs/cgroup/memory.current") else { return machine }
    return min(machine, max(limit - used, 0))
  }

  private static var groupLimit: Int? { number(in: "/sys/fs/cgroup/memory.max") }

  private static func number(in path: String) -> Int? {
    readSystemFile(path).flatMap { Int($0.split(whereSeparator: \.isWhitespace).first ?? "") }
  }

  /// A line such as "VmRSS:   1234 kB".
  private static func field(_ name: String, of path: String) -> Int {
    guard let text = readSystemFile(path), let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return 0 }
    return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 } ?? 0
  }
}

/// The processor.
public enum CPUInfo {
  /// The processor's name as it gives it, for example "AMD EPYC 9654".
  public static var modelName: String {
    let line = readSystemFile("/proc/cpuinfo")?.split(separator: "\n").first { $0.hasPrefix("model name") }
    let name = line?.split(separator: ":", maxSplits: 1).dropFirst().first?.drop { $0 == " " }
    return name.map(String.init) ?? "unknown processor"
  }

  /// Processors that are online.
  public static var cores: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// Instruction sets that kernels exist for.
  public enum ISA: Int, Sendable, CaseIterable, Comparable {
    case baseline, avx2, avx512, avx512BF16
    /// By preference.
    public static func < (a: ISA, b: ISA) -> Bool { a.rawValue < b.rawValue }
  }

  /// The best that this processor has.
  public static var bestISA: ISA { ISA(rawValue: Int(swiftlet_best_isa().rawValue)) ?? .baseline }

  /// The one in use: `bestISA`, unless the variable `SWIFTLET_ISA` (baseline, avx2, avx512, avx512bf16) or an assignment asks for less.
  /// Not to be changed while operations run.
  public static var isa: ISA {
    get { ISA(rawValue: Int(swiftlet_current_isa().rawValue)) ?? .baseline }
    set { swiftlet_limit_isa(swiftlet_isa(UInt32(newValue.rawValue))) }
  }
}

/// The text of a file of /proc or /sys, nil where there is none.
private func readSystemFile(_ path: String) -> String? {
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  if descriptor < 0 { return nil }
  defer { close(descriptor) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 4096)
  // A model name stands in the first lines; cpuinfo of a large machine is megabytes.
  while bytes.count < 1 << 16 {
    let got = read(descriptor, &piece, piece.count)
    if got < 0 { return nil }
    if got == 0 { break }
    bytes += piece[..<got]
  }
  return String(decoding: bytes, as: UTF8.self)
}

/// CRC-32C (Castagnoli) of `bytes`, continuing from `seed`, the checksum of what comes before.
public func crc32c(_ bytes: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
  swiftlet_crc32c(seed, bytes.baseAddress, bytes.count)
}
