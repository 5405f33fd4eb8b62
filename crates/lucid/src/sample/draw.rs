//! The draw: token i with probability `pᵢ`. One number u from the generator, and the first i with `p₀ + … + pᵢ > u`.

use super::{Candidates, Rng};

/// The index of the token drawn. Draws exactly one number, also when only one candidate is left, so that what follows does
/// not depend on how many there were. Leaves every candidate's probability in place.
pub fn draw(c: &mut Candidates, rng: &mut Rng) -> usize {
    c.softmax();
    let u = rng.uniform();
    let mut sum = 0.0;
    let found = c.items.iter().position(|c| {
        sum += c.p;
        sum > u
    });
    // rounding may keep the whole sum just below u: the last that can be drawn
    found.or_else(|| c.items.iter().rposition(|c| c.p > 0.0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::candidates::tests::of;
    use super::*;

    #[test]
    fn frequencies_are_the_probabilities() {
        let p = [0.1f32, 0.0, 0.2, 0.3, 0.4];
        let mut counts = [0; 5];
        let mut rng = Rng::new(42);
        const N: usize = 20_000;
        for _ in 0..N {
            counts[draw(&mut of(&p), &mut rng)] += 1;
        }
        for (count, p) in counts.into_iter().zip(p.map(f64::from)) {
            // six standard deviations of a binomial
            let bound = 6.0 * (N as f64 * p * (1.0 - p)).sqrt();
            assert!((count as f64 - N as f64 * p).abs() <= bound, "{count} for {p}");
        }
    }

    #[test]
    fn one_candidate_draws_like_many() {
        let (mut one, mut many) = (Rng::new(7), Rng::new(7));
        assert_eq!(draw(&mut of(&[1.0]), &mut one), 0);
        draw(&mut of(&[0.5, 0.5]), &mut many);
        assert_eq!(one, many);
    }
}
