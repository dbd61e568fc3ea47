//! The suspect's layers: which of its tensors stands where in the ticket's network, whatever its numbers of channels.

use std::collections::BTreeMap;

use counterfoil_claim::ClaimedCarrier;
use counterfoil_graph::Tie;
use counterfoil_ticket::{Architecture, Carrier, CarrierShape, Layer, natural_order};

use super::layout::Layout;

/// A layer of the ticket and the suspect's tensor in its place.
#[derive(Debug, Clone)]
pub(crate) struct NetworkLayer {
    pub(crate) layer: Layer,
    /// Index of the claim's carrier, if it is one.
    pub(crate) claimed: Option<usize>,
    pub(crate) tensor: Option<Carrier>,
    /// The two tensors whose product it is, if it was factored: the one that reads the input first.
    pub(crate) factors: Option<[Carrier; 2]>,
    /// Order of the stored axes; the tensors' shapes here are those in the usual order.
    pub(crate) layout: Layout,
}

/// Most positions of all layers together, at 5 bytes each.
const MAX_HELD: u128 = 1 << 28;

/// The ticket's network with the suspect's tensors.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// In computing order.
    pub(crate) layers: Vec<NetworkLayer>,
    pub(crate) ties: Vec<Tie>,
    /// Groups whose channels are known: the input and the classes.
    pub(crate) fixed: [usize; 2],
}

impl Network {
    /// The network of the claim's carriers, and `suspect`'s tensors in it: by name if all of the claim's names occur with
    /// kernels of their size or larger; otherwise by order, if there are as many tensors as layers. Depends on names and shapes alone.
    ///
    /// The error says in words why nothing can be aligned.
    /// Axes may be in another order: the first of [`Layout::ALL`] under which the tensors fit.
    pub(crate) fn find(suspect: &[Carrier], claimed: &[ClaimedCarrier]) -> Result<Self, String> {
        let in_layout = |layout: Layout| {
            let laid_out = |c: &Carrier| Carrier { shape: layout.shape(c.shape), ..c.clone() };
            Self::find_in(layout, &suspect.iter().map(laid_out).collect::<Vec<_>>(), claimed)
        };
        let usual = in_layout(Layout::ALL[0]);
        let others = || Layout::ALL[1..].iter().find_map(|&layout| in_layout(layout).ok());
        usual.or_else(|why| others().ok_or(why))
    }

    fn find_in(layout: Layout, suspect: &[Carrier], claimed: &[ClaimedCarrier]) -> Result<Self, String> {
        let carriers: Vec<(&str, CarrierShape)> = claimed.iter().map(|c| (c.name.as_str(), c.shape)).collect();
        let Some(architecture) = Architecture::of_carriers(&carriers) else {
            return Err("the claim's carriers are of no network whose channels can be followed".to_owned());
        };
        let layers = architecture.layers();
        // Chips follow from ordinals: those that the network does not have would be free to choose.
        let has = |c: &ClaimedCarrier| layers.iter().filter(|l| l.shape == c.shape).count() > c.ordinal as usize;
        if !claimed.iter().all(has) {
            return Err("the claim numbers its carriers as no such network does".to_owned());
        }
        let products: Vec<(Carrier, [Carrier; 2])> = layers.iter().filter_map(|l| product(l, suspect)).collect();
        let factors: Vec<&str> =
            products.iter().flat_map(|(_, factors)| factors.iter().map(|f| f.name.as_str())).collect();
        let mut whole: Vec<Carrier> = suspect.iter().filter(|c| !factors.contains(&c.name.as_str())).cloned().collect();
        whole.extend(products.iter().map(|(product, _)| product.clone()));
        whole.sort_by(|a, b| natural_order(&a.name, &b.name));
        let suspect = &whole[..];
        let by_name: BTreeMap<&str, &Carrier> = suspect.iter().map(|c| (c.name.as_str(), c)).collect();
        let named: Vec<Option<&Carrier>> = layers.iter().map(|l| by_name.get(l.weight().as_str()).copied()).collect();
        let mut orders = vec![named];
        if suspect.len() == layers.len() {
            let mut sorted: Vec<usize> = (0..layers.len()).collect();
            sorted.sort_by(|&a, &b| natural_order(&layers[a].weight(), &layers[b].weight()));
            let mut by_order = vec![None; layers.len()];
            sorted.iter().zip(suspect).for_each(|(&layer, carrier)| by_order[layer] = Some(carrier));
            orders.push(by_order);
            orders.push(suspect.iter().map(Some).collect());
        }
        let index = |layer: &Layer| claimed.iter().position(|c| c.name == layer.weight());
        let claimed: Vec<Option<usize>> = layers.iter().map(index).collect();
        let Some((tensors, widths)) = orders.into_iter().find_map(|tensors| {
            let widths = widths(&layers, &claimed, &tensors)?;
            Some((tensors, widths))
        }) else {
            return Err("the suspect's tensors do not fit the layers of the claim's network".to_owned());
        };
        let held = tensors
            .iter()
            .flatten()
            .map(|t| <[u32; 4]>::from(t.shape).iter().map(|&d| u128::from(d)).product::<u128>());
        let held = held.fold(0, u128::saturating_add);
        if held > MAX_HELD {
            return Err(format!("the suspect has {held} weights in these layers, expected at most {MAX_HELD}"));
        }
        let tie = |s: &counterfoil_ticket::Shortcut| {
            let (from, to) = (*widths.get(&s.from)?, *widths.get(&s.to)?);
            let ours = |group| layers.iter().find(|l| l.to == group).map(|l| l.shape.out);
            let is_as_ours = ours(s.from) == Some(from) && ours(s.to) == Some(to);
            // Option A puts the channels in the middle.
            let suspect = if is_as_ours { s.offset } else { to.checked_sub(from)? / 2 };
            Some(Tie { from: s.from, to: s.to, reference: s.offset, suspect })
        };
        let ties = architecture.shortcuts().iter().filter_map(tie).collect();
        let classes = layers.iter().map(|l| l.to).max().unwrap_or(0);
        let layers = layers.into_iter().zip(claimed).zip(tensors);
        let layers = layers.map(|((layer, claimed), tensor)| {
            let is_it =
                |(product, _): &&(Carrier, [Carrier; 2])| tensor.is_some_and(|tensor| tensor.name == product.name);
            let factors = products.iter().find(is_it).map(|(_, factors)| factors.clone());
            NetworkLayer { layer, claimed, tensor: tensor.cloned(), factors, layout }
        });
        Ok(Self { layers: layers.collect(), ties, fixed: [0, classes] })
    }
}

/// `X.0.weight` and `X.1.weight` in place of the layer's `X.weight`, and the tensor that they make.
fn product(layer: &Layer, suspect: &[Carrier]) -> Option<(Carrier, [Carrier; 2])> {
    let of = |name: String| suspect.iter().find(|c| c.name == name).cloned();
    if of(layer.weight()).is_some() {
        return None;
    }
    let factors = [of(format!("{}.0.weight", layer.name))?, of(format!("{}.1.weight", layer.name))?];
    let [first, second] = [factors[0].shape, factors[1].shape];
    if first.out != second.inp || (first.taps() > 1 && second.taps() > 1) {
        return None;
    }
    let (height, width) = (first.height.max(second.height), first.width.max(second.width));
    let shape = CarrierShape { out: second.out, inp: first.inp, height, width };
    Some((Carrier { name: layer.weight(), shape, ordinal: 0 }, factors))
}

/// The suspect's number of channels of each group; `None` if a claimed layer is missing or has smaller kernels, or if its
/// layers disagree.
fn widths(layers: &[Layer], claimed: &[Option<usize>], tensors: &[Option<&Carrier>]) -> Option<BTreeMap<usize, u32>> {
    let mut widths = BTreeMap::new();
    for ((layer, claimed), tensor) in layers.iter().zip(claimed).zip(tensors) {
        let Some(tensor) = tensor else {
            if claimed.is_some() {
                return None;
            }
            continue;
        };
        // Kernels may lie in a larger frame, about whose centre they are laid.
        let fits = |ours: u32, theirs: u32| theirs >= ours && (theirs - ours).is_multiple_of(2);
        let (ours, theirs) = (layer.shape, tensor.shape);
        if !fits(ours.height, theirs.height) || !fits(ours.width, theirs.width) {
            return None;
        }
        for (group, width) in [(layer.from, tensor.shape.inp), (layer.to, tensor.shape.out)] {
            if *widths.entry(group).or_insert(width) != width {
                return None;
            }
        }
    }
    Some(widths)
}
