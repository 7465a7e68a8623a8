import CPlatform
import SwiftletCPU
import Testing

extension PlatformSettings {
  @Suite struct MemoryTests {
    @Test func countsAreExactAndBigBlocksComeBack() {
      HostMemory.trim()
      let before = HostMemory.liveBytes
      let part = HostMemory.liveBytes(.cache)
      for bytes in [0, 1, 63, 1000, 1 << 17, (1 << 20) + 30, 5_000_001] {
        let first = HostMemory.allocate(bytes, part: .cache)
        #expect(UInt(bitPattern: first) % 64 == 0)
        first.initializeMemory(as: UInt8.self, repeating: 7, count: bytes)
        #expect(HostMemory.liveBytes(.cache) == part + bytes)
        #expect(HostMemory.liveBytes == before + bytes)
        #expect(HostMemory.peakBytes >= before + bytes)
        HostMemory.free(first, bytes: bytes, part: .cache)
        #expect(HostMemory.liveBytes == before)
        if bytes >= 1 << 17 {
          #expect(HostMemory.pooledBytes >= bytes)
          let again = HostMemory.allocate(bytes - 20, part: .workspace)
          if bytes > 1 << 17 { #expect(again == first, "\(bytes)") }
          HostMemory.free(again, bytes: bytes - 20, part: .workspace)
        }
      }
      HostMemory.trim()
      #expect(HostMemory.pooledBytes == 0)
    }

    @Test func poolIsBounded() {
      HostMemory.trim()
      for step in 0..<200 {
        let bytes = (1 << 20) + step * 200_000
        let pointer = HostMemory.allocate(bytes, part: .workspace)
        HostMemory.free(pointer, bytes: bytes, part: .workspace)
        #expect(HostMemory.pooledBytes <= bytes + bytes / 8 + (2 << 20) + (64 << 20))
      }
      HostMemory.trim()
    }

    @Test func blocksOfManyThreadsDoNotOverlap() async {
      let before = HostMemory.liveBytes
      await withTaskGroup(of: Bool.self) { group in
        for task in 0..<4 {
          group.addTask {
            var held: [(UnsafeMutablePointer<UInt64>, Int, UInt64)] = []
            var right = true
            for step in 0..<400 {
              let bytes = 128 << ((step * 7 + task) % 14)
              let mark = UInt64(task << 32 | step)
              let pointer = HostMemory.allocate(bytes, part: .workspace).bindMemory(to: UInt64.self, capacity: bytes / 8)
              pointer[0] = mark
              pointer[bytes / 8 - 1] = mark
              held.append((pointer, bytes, mark))
              if held.count > 5 {
                let (old, bytes, mark) = held.remove(at: step % 5)
                right = right && old[0] == mark && old[bytes / 8 - 1] == mark
                HostMemory.free(UnsafeMutableRawPointer(old), bytes: bytes, part: .workspace)
              }
            }
            for (old, bytes, _) in held { HostMemory.free(UnsafeMutableRawPointer(old), bytes: bytes, part: .workspace) }
            return right
          }
        }
        for await right in group { #expect(right) }
      }
      #expect(HostMemory.liveBytes == before)
    }
  }
}

@Suite struct MachineTests {
  @Test func memoryOfTheProcess() {
    #if os(Linux)
      #expect(ProcessMemory.residentBytes > 1 << 20)
      #expect(ProcessMemory.peakResidentBytes >= ProcessMemory.residentBytes)
      #expect(ProcessMemory.totalBytes >= ProcessMemory.availableBytes)
      #expect(ProcessMemory.availableBytes > 0)
      #expect(CPUInfo.modelName != "")
    #endif
    #expect(CPUInfo.cores >= 1)
  }

  @Test func checksumOfKnownVectors() {
    // RFC 3720, appendix B.4.
    let cases: [([UInt8], UInt32)] = [
      ([], 0), (Array("123456789".utf8), 0xE306_9283), (Array(repeating: 0, count: 32), 0x8A91_36AA),
      (Array(repeating: 255, count: 32), 0x62A8_AB43), (Array(0..<32), 0x46DD_794E),
    ]
    for (bytes, sum) in cases {
      bytes.withUnsafeBytes {
        #expect(crc32c($0) == sum)
        #expect(swiftlet_crc32c_portable(0, $0.baseAddress, $0.count) == sum)
        let half = $0.count / 2
        #expect(crc32c(.init(rebasing: $0[half...]), seed: crc32c(.init(rebasing: $0[..<half]))) == sum)
      }
    }
  }
}
