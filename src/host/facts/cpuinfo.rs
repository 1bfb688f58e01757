//! The first processor of `/proc/cpuinfo`.

use crate::model::Cpu;

pub(super) fn parse(text: &str) -> Result<Cpu, String> {
    let mut cpu = Cpu::default();
    let paragraph = text.trim_start().lines().take_while(|line| !line.trim().is_empty());
    for line in paragraph {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match key.trim() {
            "vendor_id" => value.clone_into(&mut cpu.vendor),
            "model name" => value.clone_into(&mut cpu.model),
            "microcode" => cpu.microcode = Some(value.to_owned()),
            "flags" => cpu.flags = value.split_whitespace().map(str::to_owned).collect(),
            _ => {}
        }
    }
    if cpu.vendor.is_empty() { Err("no `vendor_id`: not an x86 processor".to_owned()) } else { Ok(cpu) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_processor_counts() {
        let text = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 85\nmodel name\t: Intel(R) Xeon(R) Gold 6130\n\
                    microcode\t: 0x200005e\nflags\t\t: fpu md_clear\n\nprocessor\t: 1\nvendor_id\t: Other\n";
        let cpu = parse(text).unwrap();
        assert_eq!(cpu.vendor, "GenuineIntel");
        assert_eq!(cpu.model, "Intel(R) Xeon(R) Gold 6130");
        assert_eq!(cpu.microcode.as_deref(), Some("0x200005e"));
        assert_eq!(cpu.flags, ["fpu", "md_clear"]);
    }

    #[test]
    fn another_architecture_is_not_guessed_at() {
        assert!(parse("processor\t: 0\nCPU implementer\t: 0x41\n").is_err());
    }
}
