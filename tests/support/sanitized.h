// Whether a sanitizer looks on, which makes everything many times slower: tests that need large
// numbers for what they say, and not for the code they run, are content with smaller ones then.
// Those that say nothing with smaller ones are tagged [large] and left out (tests/CMakeLists.txt).
#pragma once

namespace vsearch_test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace vsearch_test
