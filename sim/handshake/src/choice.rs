//! What is left open within one step, tried out one way after another.

/// The choices of one run of a step.
#[derive(Debug)]
pub struct Choice<'c> {
    plan: &'c [u8],
    /// Among how many it was chosen, so far.
    made: Vec<u8>,
}

impl<'c> Choice<'c> {
    /// Choices as in `plan`, and the first of what comes after it.
    #[must_use]
    pub const fn new(plan: &'c [u8]) -> Self {
        Self { plan, made: Vec::new() }
    }

    /// One of `count`.
    pub fn among(&mut self, count: usize) -> usize {
        if count == 1 {
            return 0;
        }
        let chosen = self.plan.get(self.made.len()).copied().unwrap_or(0);
        self.made.push(count as u8);
        chosen.into()
    }
}

/// Every plan that makes `step` run differently.
pub fn plans(mut step: impl FnMut(&mut Choice<'_>)) -> Vec<Vec<u8>> {
    let mut plans = Vec::new();
    let mut next = Some(Vec::new());
    while let Some(plan) = next {
        let mut choice = Choice::new(&plan);
        step(&mut choice);
        let counts = choice.made;
        let mut whole = plan;
        whole.resize(counts.len(), 0);
        next = whole.iter().zip(&counts).rposition(|(&chosen, &count)| chosen + 1 < count).map(
            |last| {
                let mut next = whole[..=last].to_vec();
                next[last] += 1;
                next
            },
        );
        plans.push(whole);
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::plans;

    #[test]
    fn every_way_is_tried_once() {
        let mut seen = Vec::new();
        let plans = plans(|choice| {
            let first = choice.among(2);
            let rest = if first == 0 { choice.among(1) } else { choice.among(3) };
            seen.push((first, rest));
        });
        assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (1, 2)]);
        assert_eq!(plans, [vec![0], vec![1, 0], vec![1, 1], vec![1, 2]]);
    }
}
