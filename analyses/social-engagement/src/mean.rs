//! Means of integers, exact to the last bit.
//!
//! A mean that is computed in floating point depends on the order of its terms.
//! Here the sum is an integer and the quotient is rounded once, to the nearest
//! double, ties to even (IEEE 754): anyone who does the same gets the same bits.

/// `total / number`, rounded once; 0 where `number` is 0.
pub fn mean(total: u128, number: u64) -> f64 {
    if total == 0 || number == 0 {
        return 0.0;
    }
    // At least 64 significant bits of quotient: more than the 53 of a double, so
    // that a remainder only matters as "a little more", which the last bit says.
    let shift = total.leading_zeros();
    let shifted = total << shift;
    let divisor = u128::from(number);
    let quotient = (shifted / divisor) | u128::from(!shifted.is_multiple_of(divisor));
    // 2^-127 to 1, a power of two: the product is exact.
    quotient as f64 * 2.0_f64.powi(-(shift as i32))
}

#[cfg(test)]
mod tests {
    use super::mean;

    #[test]
    fn small_ones_are_the_plain_quotient() {
        for total in 0..2000_u32 {
            for number in 1..50_u32 {
                let expected = f64::from(total) / f64::from(number);
                assert_eq!(mean(u128::from(total), u64::from(number)), expected);
            }
        }
    }

    #[test]
    fn large_ones_are_rounded_once() {
        // 2^53 + 1 is no double; its half is.
        assert_eq!(mean((1 << 53) + 1, 2), 4_503_599_627_370_496.5);
        assert_eq!(mean((1 << 53) + 1, 1), 9_007_199_254_740_992.0);
        assert_eq!(mean((1 << 54) + 2, 1), 18_014_398_509_481_984.0);
        // Just above a tie: the remainder decides.
        assert_eq!(mean(((1 << 54) + 2) * 3 + 1, 3), 18_014_398_509_481_988.0);
        assert_eq!(mean(u128::from(u64::MAX), u64::MAX), 1.0);
        assert_eq!(
            mean(3 * (u128::from(u64::MAX) >> 1), 1),
            27_670_116_110_564_327_421.0
        );
    }

    #[test]
    fn the_mean_of_nothing_is_zero() {
        assert_eq!(mean(0, 0), 0.0);
        assert_eq!(mean(0, 7), 0.0);
    }
}
