//! One cloud's settings: openstacksdk's defaults, under a profile, under the entry itself, under a region's values.

use super::Wanted;
use super::environment::Environment;
use super::error::{CloudsError, Place};
use super::files::{Known, shown};
use super::node::{Map, Node, Value};

/// Profiles that openstacksdk carries within itself: public clouds, none of which grants what fleetmend needs.
const BUILT_IN_PROFILES: [&str; 25] = [
    "auro",
    "betacloud",
    "binero",
    "bluebox",
    "catalyst",
    "citycloud",
    "conoha",
    "dreamcompute",
    "elastx",
    "entercloudsuite",
    "fuga",
    "ibmcloud",
    "internap",
    "limestonenetworks",
    "otc",
    "otc-swiss",
    "ovh",
    "ovh-us",
    "rackspace",
    "switchcloud",
    "switchengines",
    "ultimum",
    "unitedstack",
    "vexxhost",
    "zetta",
];

/// A cloud's settings, all layers merged.
pub(super) struct Layered {
    pub(super) name: String,
    pub(super) at: Place,
    pub(super) settings: Map,
    pub(super) region: Option<String>,
}

/// Settings that hold where nothing else is said.
pub(super) fn defaults() -> Map {
    [("auth_type", Value::Text("password".to_owned())), ("interface", Value::Text("public".to_owned()))]
        .into_iter()
        .chain([("verify", Value::Bool(true))])
        .map(|(key, value)| (key.to_owned(), Node { at: Place::Default, value }))
        .collect()
}

/// Chooses the cloud and merges its layers.
pub(super) fn layer(known: &mut Known, environment: &Environment, wanted: &Wanted) -> Result<Layered, CloudsError> {
    let name = choose(known, environment, wanted)?;
    let entry = known.clouds.get(&name).ok_or_else(|| unknown_cloud(known, &name, environment, wanted))?;
    let own = entry.as_map("a cloud")?;

    let mut settings = defaults();
    if let Some(profile) = profile_of(own, known, &name)? {
        match known.profiles.get(&profile.0) {
            Some(below) => lay(&mut settings, below.as_map("a profile")?)?,
            None => known.notes.push(missing_profile(&profile)?),
        }
    }
    lay(&mut settings, own)?;
    settings.shift_remove("cloud");

    let regions = regions_of(own, &settings)?;
    let asked = asked_region(environment, wanted, known.from_environment.as_ref() == Some(&name));
    let region = choose_region(&name, regions, asked)?;
    settings.shift_remove("regions");
    let mut region_name = None;
    if let Some(region) = region {
        for (key, node) in region.values {
            if !matches!(node.value, Value::Null) {
                lay(&mut settings, &Map::from_iter([(key, node)]))?;
            }
        }
        settings.insert("region_name".to_owned(), region.name.clone());
        region_name = region.name.as_text("region_name")?.map(str::to_owned);
    }
    Ok(Layered { at: entry.at.clone(), name, settings, region: region_name })
}

/// The cloud asked for, and by what. An empty variable asks for nothing, as with openstacksdk.
fn asked_cloud<'a>(environment: &'a Environment, wanted: &'a Wanted) -> Option<(&'a str, Place)> {
    let argument = || Some((wanted.cloud.as_deref()?, Place::Argument("--os-cloud")));
    let variable = || Some((environment.get("OS_CLOUD")?, Place::Variable("OS_CLOUD".to_owned())));
    let configured = || Some((wanted.configured.as_deref()?, Place::Configuration("cloud")));
    argument().or_else(variable).or_else(configured)
}

/// The name of the cloud to use.
fn choose(known: &Known, environment: &Environment, wanted: &Wanted) -> Result<String, CloudsError> {
    if let Some((name, _)) = asked_cloud(environment, wanted) {
        return Ok(name.to_owned());
    }
    if let Some(name) = &known.from_environment {
        return Ok(name.clone());
    }
    let mut names = known.clouds.keys();
    match (names.next(), names.next(), &known.file) {
        (Some(only), None, _) => Ok(only.clone()),
        (None, _, None) => {
            Err(CloudsError::new("no cloud is configured: there is no `clouds.yaml`, and no OS_* variable defines one")
                .hinting(format!(
                    "`clouds.yaml` is looked for in {}; OS_CLIENT_CONFIG_FILE can name it",
                    shown(&known.searched)
                )))
        }
        (None, _, Some(file)) => {
            Err(CloudsError::new(format!("`{}` defines no cloud", file.display())).hinting("add one under `clouds:`"))
        }
        (Some(_), Some(_), _) => Err(CloudsError::new("several clouds are configured and none was chosen")
            .hinting(format!("choose one with `--os-cloud` or OS_CLOUD: {}", names_of(known)))),
    }
}

fn unknown_cloud(known: &Known, name: &str, environment: &Environment, wanted: &Wanted) -> CloudsError {
    let message = format!("there is no cloud `{name}`");
    let error = match asked_cloud(environment, wanted) {
        Some((_, at)) => CloudsError::at(&at, message),
        None => CloudsError::new(message),
    };
    let near = known.clouds.keys().find(|known| strsim::jaro_winkler(known, name) > 0.85);
    match (near, &known.file) {
        (Some(near), _) => error.hinting(format!("did you mean `{near}`?")),
        (None, Some(file)) if known.clouds.is_empty() => error.hinting(format!("`{}` defines none", file.display())),
        (None, Some(file)) => {
            error.hinting(format!("`{}` and the environment define {}", file.display(), names_of(known)))
        }
        (None, None) => error.hinting(format!("there is no `clouds.yaml` in {}", shown(&known.searched))),
    }
}

fn names_of(known: &Known) -> String {
    let names: Vec<String> = known.clouds.keys().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Lays `upper` over `lower`: keys are replaced, but the keys within `auth` one by one.
fn lay(lower: &mut Map, upper: &Map) -> Result<(), CloudsError> {
    for (key, node) in upper {
        match (key.as_str(), lower.get_mut(key)) {
            ("auth", Some(Node { value: Value::Map(below), .. })) if !matches!(node.value, Value::Null) => {
                below.extend(node.as_map("`auth`")?.clone());
            }
            _ => {
                lower.insert(key.clone(), node.clone());
            }
        }
    }
    Ok(())
}

/// The profile that an entry names; `cloud` is the key's former name.
fn profile_of(own: &Map, known: &Known, cloud: &str) -> Result<Option<(String, Place)>, CloudsError> {
    let Some((key, node)) = ["profile", "cloud"].into_iter().find_map(|key| Some((key, own.get(key)?))) else {
        return Ok(None);
    };
    let Some(name) = node.as_text(key)? else { return Ok(None) };
    let is_itself = known.from_environment.as_deref() == Some(name) || (key == "cloud" && name == cloud);
    Ok((!is_itself).then(|| (name.to_owned(), node.at.clone())))
}

/// What to note of a profile that no file defines; an error where openstacksdk would know it.
fn missing_profile((name, at): &(String, Place)) -> Result<String, CloudsError> {
    if name.contains("://") {
        return Err(CloudsError::at(at, "profiles are not fetched from a URL")
            .hinting("write its settings into the cloud's entry, or into `clouds-public.yaml`"));
    }
    if BUILT_IN_PROFILES.contains(&name.as_str()) {
        return Err(CloudsError::at(at, format!("profile `{name}` is known to openstacksdk only"))
            .hinting("write its settings into the cloud's entry, or into `clouds-public.yaml`"));
    }
    Ok(format!("{at}: no `clouds-public.yaml` defines profile `{name}`"))
}

/// A region that a cloud has, with settings of its own.
struct RegionEntry {
    name: Node,
    values: Map,
}

/// The regions that a cloud is known to have; its profile's where the entry names none.
fn regions_of(own: &Map, settings: &Map) -> Result<Vec<RegionEntry>, CloudsError> {
    for layer in [own, settings] {
        if let Some(node) = layer.get("regions").filter(|node| !matches!(node.value, Value::Null)) {
            let Value::List(items) = &node.value else {
                return Err(CloudsError::at(&node.at, "`regions` must be a list"));
            };
            return items.iter().map(region_entry).collect();
        }
        if let Some(node) = layer.get("region_name") {
            return named_regions(node);
        }
    }
    Ok(Vec::new())
}

/// `region_name`, which may be a list or hold several names with commas between.
fn named_regions(node: &Node) -> Result<Vec<RegionEntry>, CloudsError> {
    let entry = |name: Node| RegionEntry { name, values: Map::new() };
    if let Value::List(items) = &node.value {
        return Ok(items.iter().cloned().map(entry).collect());
    }
    let names = node.as_text("region_name")?.unwrap_or_default();
    Ok(names.split(',').filter(|name| !name.is_empty()).map(|name| entry(Node::text(node.at.clone(), name))).collect())
}

/// An item of `regions`: a name, or `{name, values}`.
fn region_entry(node: &Node) -> Result<RegionEntry, CloudsError> {
    let Value::Map(map) = &node.value else {
        return Ok(RegionEntry { name: node.clone(), values: Map::new() });
    };
    if let Some((key, other)) = map.iter().find(|(key, _)| !matches!(key.as_str(), "name" | "values")) {
        return Err(CloudsError::at(&other.at, format!("a region has `name` and `values`, not `{key}`")));
    }
    let name = map.get("name").ok_or_else(|| CloudsError::at(&node.at, "this region has no `name`"))?.clone();
    let values = match map.get("values") {
        Some(values) if !matches!(values.value, Value::Null) => values.as_map("`values`")?.clone(),
        Some(_) | None => Map::new(),
    };
    Ok(RegionEntry { name, values })
}

/// The region asked for, and by what.
///
/// openstacksdk by itself reads `OS_REGION_NAME` only for the environment's own cloud; its command line registers it
/// for every cloud. Ignoring it would act on another region than the operator named, so it always counts.
fn asked_region(environment: &Environment, wanted: &Wanted, is_environment: bool) -> Option<Node> {
    if let Some(region) = &wanted.region {
        return Some(Node::text(Place::Argument("--os-region-name"), region.clone()));
    }
    if is_environment {
        return None;
    }
    environment.get("OS_REGION_NAME").map(|region| Node::text(Place::Variable("OS_REGION_NAME".to_owned()), region))
}

fn choose_region(
    cloud: &str,
    regions: Vec<RegionEntry>,
    asked: Option<Node>,
) -> Result<Option<RegionEntry>, CloudsError> {
    let Some(asked) = asked else { return Ok(regions.into_iter().next()) };
    if regions.is_empty() {
        return Ok(Some(RegionEntry { name: asked, values: Map::new() }));
    }
    let name = asked.as_text("region")?.unwrap_or_default().to_owned();
    let mut choices = Vec::new();
    for region in regions {
        let choice = region.name.as_text("region")?.unwrap_or_default().to_owned();
        if choice == name {
            return Ok(Some(region));
        }
        choices.push(format!("`{choice}`"));
    }
    Err(CloudsError::at(&asked.at, format!("cloud `{cloud}` has no region `{name}`"))
        .hinting(format!("it has {} (names are case sensitive)", choices.join(", "))))
}
